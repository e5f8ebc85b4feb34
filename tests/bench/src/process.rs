//! What Linux tells about a process.

use anyhow::Context as _;
use procfs::process::{MMPermissions, MMapPath, Process};
use procfs::{CpuInfo, Current as _, LoadAverage};

/// Seconds of processor time that all threads of the process used so far, in user mode and in the kernel.
#[expect(clippy::cast_precision_loss, reason = "ticks of hours fit into 52 bits")]
pub(crate) fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let stat = open(pid)?.stat().with_context(|| format!("/proc/{pid}/stat"))?;
    Ok((stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64)
}

/// Bytes of resident memory that belong to no file.
pub(crate) fn anonymous_bytes(pid: u32) -> anyhow::Result<u64> {
    let status = open(pid)?.status().with_context(|| format!("/proc/{pid}/status"))?;
    Ok(status.rssanon.context("the process has no memory")? * 1024)
}

/// The size of each WebAssembly linear memory in the process. V8 reserves gigabytes of address space for each, of which the beginning
/// is usable: that is how they are told from everything else.
pub(crate) fn linear_memories(pid: u32) -> anyhow::Result<Vec<u64>> {
    const RESERVED: u64 = 2 << 30;
    let maps = open(pid)?.maps().with_context(|| format!("/proc/{pid}/maps"))?.0;
    let memories = maps.windows(2).filter_map(|pair| {
        let [usable, reserved] = pair else { return None };
        let accessible = MMPermissions::READ | MMPermissions::WRITE;
        let is_memory = usable.pathname == MMapPath::Anonymous
            && usable.perms.contains(accessible)
            && !reserved.perms.intersects(accessible)
            && usable.address.1 == reserved.address.0
            && reserved.address.1 - reserved.address.0 >= RESERVED;
        is_memory.then_some(usable.address.1 - usable.address.0)
    });
    Ok(memories.collect())
}

/// The processor's name and how many cores there are.
pub(crate) fn processor() -> anyhow::Result<(String, usize)> {
    let info = CpuInfo::current()?;
    let name = info.model_name(0).unwrap_or("unknown processor");
    Ok((name.to_owned(), info.num_cores()))
}

/// How many processes wanted to run over the last minute.
pub(crate) fn load() -> anyhow::Result<f32> {
    Ok(LoadAverage::current()?.one)
}

fn open(pid: u32) -> anyhow::Result<Process> {
    Process::new(i32::try_from(pid)?).with_context(|| format!("process {pid}"))
}
