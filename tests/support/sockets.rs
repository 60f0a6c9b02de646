//! The TCP sockets of this process, as the kernel lists them.

use std::collections::HashSet;

/// How many sockets of this process are connected, or connecting, to `port` of this machine.
pub(crate) fn to_port(port: u16) -> usize {
    let ours = inodes();
    let table = std::fs::read_to_string("/proc/self/net/tcp").expect("Linux");
    let is_ours = |line: &&str| {
        // sl, local address, remote address, state, .., and the tenth is the inode.
        let fields: Vec<_> = line.split_whitespace().collect();
        let remote = fields[2].rsplit_once(':').map(|(_, port)| u16::from_str_radix(port, 16));
        remote == Some(Ok(port)) && ours.contains(fields[9])
    };
    table.lines().skip(1).filter(is_ours).count()
}

/// The inodes of the sockets that this process has open.
fn inodes() -> HashSet<String> {
    std::fs::read_dir("/proc/self/fd")
        .expect("Linux")
        .filter_map(|file| std::fs::read_link(file.ok()?.path()).ok())
        .filter_map(|link| {
            let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
            Some(inode.to_owned())
        })
        .collect()
}
