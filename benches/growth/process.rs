//! What Linux tells of a process.

/// The resident set and the threads of a process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) resident_kib: u64,
    pub(crate) threads: u64,
}

/// The size of this process.
pub(crate) fn size() -> Size {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let number = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).expect("it is always there");
        let word = line.split_whitespace().nth(1).expect("a number");
        word.parse().expect("a number")
    };
    Size { resident_kib: number("VmRSS:"), threads: number("Threads:") }
}

/// The processor time that a process has used so far, in ticks of 10 ms.
pub(crate) fn ticks(process: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("it runs");
    // The name of the program is in brackets, and may contain spaces.
    let (_, fields) = stat.rsplit_once(')').expect("a name in brackets");
    let fields: Vec<_> = fields.split_whitespace().collect();
    let number = |at: usize| fields[at].parse::<u64>().expect("a number");
    number(11) + number(12)
}
