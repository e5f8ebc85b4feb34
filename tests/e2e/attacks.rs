//! `filter/docs/attacks.md` says which test proves what, and at which level it runs. A document that names a
//! test which is gone, or a level that nothing runs at, is worse than none.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Rows of the matrix.
const ROWS: std::ops::RangeInclusive<u32> = 1..=116;

/// One row of the table.
struct Row<'d> {
    number: u32,
    /// Levels that the matrix asks for: U unit, W module in a host, E real Envoy.
    asked: &'d str,
    tests: Vec<&'d str>,
    /// Why it runs lower, or is decided otherwise.
    reason: &'d str,
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a parent").to_owned()
}

/// The table's cells: row, attack, asked, code, tests, reason.
fn rows(document: &str) -> Vec<Row<'_>> {
    let cells = document
        .lines()
        .map(|line| line.trim().trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>());
    cells
        .filter_map(|cells| match cells.as_slice() {
            [number, _attack, asked, _code, tests, reason] => {
                let tests = tests.split('`').skip(1).step_by(2).collect();
                Some(Row { number: number.parse().ok()?, asked, tests, reason })
            }
            _ => None,
        })
        .collect()
}

/// The tests of the second table, whose rows have no number and no level.
fn further_tests(document: &str) -> Vec<&str> {
    let (_, further) = document.split_once("\n## Also\n").expect("the second table");
    let cells = further.lines().filter_map(|line| line.trim().trim_end_matches('|').rsplit('|').next());
    cells.flat_map(|tests| tests.split('`').skip(1).step_by(2)).collect()
}

/// Where each test function is defined: U in the core, E in this suite.
fn levels(folder: &Path, level: char, found: &mut BTreeMap<String, char>) {
    for entry in
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())).flatten()
    {
        let path = entry.path();
        if path.is_dir() {
            levels(&path, level, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(&path).expect("a source file");
            let mut is_test = false;
            for line in source.lines().map(str::trim) {
                if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                    is_test = true;
                } else if let Some((_, rest)) = line.split_once("fn ").filter(|_| !line.starts_with("//")) {
                    // Properties are tests inside a macro, marked like the others.
                    if is_test {
                        let name = rest.split(['(', '<']).next().unwrap_or_default();
                        found.insert(name.to_owned(), level);
                    }
                    is_test = false;
                }
            }
        }
    }
}

#[test]
fn every_attack_has_its_tests_at_the_level_that_is_told() {
    let document =
        fs::read_to_string(repository().join("filter/docs/attacks.md")).expect("filter/docs/attacks.md");
    let mut found = BTreeMap::new();
    levels(&repository().join("filter/core"), 'U', &mut found);
    levels(&repository().join("tests/e2e"), 'E', &mut found);
    let rows = rows(&document);
    let mut problems = Vec::new();
    for number in ROWS {
        let count = rows.iter().filter(|row| row.number == number).count();
        if count != 1 {
            problems.push(format!("row {number} is there {count} times"));
        }
    }
    for row in &rows {
        let mut runs = String::new();
        for test in &row.tests {
            let name = test.rsplit("::").next().unwrap_or_default();
            match found.get(name) {
                Some(level) => runs.push(*level),
                None => problems.push(format!("row {}: no test is called {name}", row.number)),
            }
        }
        // The module in a real Envoy is more than the module in a mock host.
        let missing = |level| match level {
            'U' => false,
            _ => !runs.contains('E'),
        };
        let lower = row.tests.is_empty() || row.asked.chars().any(missing);
        if lower && row.reason.is_empty() {
            problems.push(format!(
                "row {}: asked for at {}, runs at `{runs}`, and no reason",
                row.number, row.asked
            ));
        }
    }
    let further = further_tests(&document);
    assert!(further.len() >= 10, "{further:?}");
    for test in further.iter().filter(|test| !found.contains_key(**test)) {
        problems.push(format!("no test is called {test}"));
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
