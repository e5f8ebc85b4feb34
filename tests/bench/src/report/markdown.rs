//! The report for people, which is also what the terminal shows.

use std::fmt::Write as _;

use crate::report::Report;
use crate::stats::Spread;

/// Where the report stands in the documentation.
const BEGIN: &str = "<!-- bench: begin; scripts/bench.sh --publish writes what follows -->\n";
const END: &str = "<!-- bench: end -->\n";

/// The tables: figures, memory, targets.
pub(crate) fn tables(report: &Report) -> String {
    let failed = report.rows.iter().filter_map(|outcome| {
        Some(format!("- not measured: {}: {}\n", outcome.row.key, outcome.error.as_ref()?))
    });
    let sections = [figures(report), failed.collect(), profiles(report), memory(report), targets(report)];
    let sections: Vec<String> = sections.into_iter().filter(|section| !section.is_empty()).collect();
    sections.join("\n")
}

/// The whole report.
pub(crate) fn whole(report: &Report, chart: &str) -> String {
    let machine = &report.machine;
    let settings = &report.settings;
    let mut text = String::new();
    let _ = writeln!(
        text,
        "`{}` at commit {}, on {} x {}, Linux {}, {}, {}. Load average before: {:.2}.\n",
        report.command,
        machine.commit,
        machine.cores,
        machine.processor,
        machine.kernel,
        machine.envoy,
        machine.load_generator,
        machine.load_before,
    );
    let _ = writeln!(
        text,
        "Medians of {} rounds, smallest to largest in brackets. A round is a fresh Envoy with one worker, a second of warm-up, and {} s of \
         load on {} connections; the rounds of all rows are interleaved. Rows with new tokens send each of {} tokens once and end when they \
         are used up; the others send {} tokens or sessions again and again, or {} sessions where nothing is remembered. CPU is the time of the whole Envoy process, user and system, for each \
         request that was answered. Load generator, Envoy and upstream share the machine: requests a second and latencies are those of a \
         saturated machine, and only comparisons within the table mean anything.\n",
        settings.rounds,
        settings.seconds,
        settings.connections,
        settings.tokens - settings.warm_up_tokens,
        crate::rows::KNOWN,
        crate::sessions::SESSIONS,
    );
    let _ = writeln!(text, "![CPU time for each request]({chart})\n");
    text.push_str(&tables(report));
    text
}

/// The document with the report in its place, or at its end if it has none yet.
pub(crate) fn publish(document: &str, report: &str) -> String {
    let section = format!("{BEGIN}{report}{END}");
    match (document.find(BEGIN), document.find(END)) {
        (Some(begin), Some(end)) if begin < end => {
            format!("{}{section}{}", &document[..begin], &document[end + END.len()..])
        }
        _ => format!("{document}\n{section}"),
    }
}

fn figures(report: &Report) -> String {
    let mut lines = vec![
        ["", "CPU, µs a request", "requests a second", "p50, µs", "p99, µs", "start, ms"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for outcome in &report.rows {
        if let Some(summary) = &outcome.summary {
            let cpu = format!(
                "{} [{}..{}]",
                number(summary.cpu_us.median, 1),
                number(summary.cpu_us.min, 1),
                number(summary.cpu_us.max, 1)
            );
            let whole = |spread: Spread| number(spread.median, 0);
            lines.push(vec![
                outcome.row.label.to_owned(),
                cpu,
                whole(summary.rps),
                whole(summary.p50_us),
                whole(summary.p99_us),
                whole(summary.start_ms),
            ]);
        }
    }
    if lines.len() > 1 { table(&lines) } else { String::new() }
}

/// The shares of one more round, of the row's median.
fn profiles(report: &Report) -> String {
    let mut lines = vec![
        ["of it, µs a request", "kernel", "Envoy, V8, BoringSSL", "in the VM"].map(str::to_owned).to_vec(),
    ];
    for outcome in &report.rows {
        if let Some((summary, profile)) = outcome.summary.zip(outcome.profile) {
            let part = |share: f64| number(summary.cpu_us.median * share, 1);
            let parts = [profile.kernel, profile.envoy, profile.vm].map(part);
            lines.push([vec![outcome.row.label.to_owned()], parts.to_vec()].concat());
        }
    }
    if lines.len() > 1 { table(&lines) } else { String::new() }
}

fn memory(report: &Report) -> String {
    let Some(memory) = &report.memory else { return String::new() };
    let mebibytes = |bytes: f64| number(bytes / f64::from(1 << 20), 1);
    let range = |spread: Spread| {
        format!("{} [{}..{}]", mebibytes(spread.median), mebibytes(spread.min), mebibytes(spread.max))
    };
    #[expect(clippy::cast_precision_loss, reason = "no memory is so large")]
    let linear = |bytes: u64| mebibytes(bytes as f64);
    let line = |what: &str, spread, linear| vec![what.to_owned(), range(spread), linear];
    let full = format!("a VM, after {} tokens", number_of(memory.tokens_sent));
    table(&[
        ["memory", "MiB", "of it linear memory"].map(str::to_owned).to_vec(),
        line(
            "a VM (one for each worker, one for the main thread), configured and idle",
            memory.idle,
            linear(memory.idle_linear),
        ),
        line(&full, memory.full_cache, linear(memory.full_cache_linear)),
        line("once for an Envoy: the compiled module and the engine", memory.once, String::new()),
        line("the same for an empty wasm filter", memory.once_noop, String::new()),
    ])
}

fn targets(report: &Report) -> String {
    let mut lines = vec![["target", "limit", "measured", ""].map(str::to_owned).to_vec()];
    for target in &report.targets {
        let decimals = if target.unit.is_empty() { 2 } else { 1 };
        let figure = |value| format!("{} {}", number(value, decimals), target.unit).trim_end().to_owned();
        let verdict = match target.met {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "not measured",
        };
        let value = target.value.map(figure).unwrap_or_default();
        lines.push(vec![target.what.to_owned(), figure(target.limit), value, verdict.to_owned()]);
    }
    table(&lines)
}

fn number_of(count: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    number(count as f64, 0)
}

/// With thousands separated.
fn number(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("-", digits));
    let (whole, rest) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}{rest}")
}

/// A Markdown table that is aligned for those who read it as text. Columns but the first are flush right.
fn table(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width =
        |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0).max(2);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let _ = if column == 0 {
                write!(text, "| {cell:<width$} ")
            } else {
                write!(text, "| {cell:>width$} ")
            };
        }
        text.push_str("|\n");
        if number == 0 {
            for (column, width) in widths.iter().enumerate() {
                let rule = "-".repeat(*width);
                let _ = if column == 0 { write!(text, "|-{rule}-") } else { write!(text, "|-{rule}:") };
            }
            text.push_str("|\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_thousands_apart() {
        assert_eq!(number(1_234_567.89, 1), "1,234,567.9");
        assert_eq!(number(-123.4, 0), "-123");
        assert_eq!(number(999.6, 0), "1,000");
    }

    #[test]
    fn a_table_is_aligned() {
        let lines = [vec!["a".to_owned(), "long head".to_owned()], vec!["first".to_owned(), "1".to_owned()]];
        assert_eq!(table(&lines), "| a     | long head |\n|-------|----------:|\n| first |         1 |\n");
    }

    #[test]
    fn a_report_replaces_the_one_before() {
        let first = publish("# Performance\n", "old\n");
        let second = publish(&format!("{first}the end\n"), "new\n");
        assert!(second.contains("new\n") && !second.contains("old\n"));
        assert!(second.starts_with("# Performance\n") && second.ends_with("the end\n"));
    }
}
