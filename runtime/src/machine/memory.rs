//! How much memory the server may use: what the machine has, or what the control
//! group allows that it was put into, by a container or by systemd.

use std::fs::read_to_string;

/// The least of what the machine has and the control groups allow, in bytes.
/// `None` where the system does not tell: it is Linux that has it in files.
pub(super) fn there_is() -> Option<usize> {
    let file = |path: &str| read_to_string(path).ok();
    let machine = file("/proc/meminfo").as_deref().and_then(in_meminfo);
    let groups = file("/proc/self/cgroup").and_then(|groups| allowed(&groups, file));
    machine.into_iter().chain(groups).min()
}

/// What `/proc/meminfo` says that there is.
fn in_meminfo(text: &str) -> Option<usize> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: usize = line.trim().strip_suffix(" kB")?.parse().ok()?;
    kib.checked_mul(1024)
}

/// The least that any of the groups allows that a process is in. Each line of
/// `groups` is `number:controllers:path` (cgroups(7)): version 2 has no
/// controllers there, version 1 has `memory` among them.
fn allowed(groups: &str, file: impl Fn(&str) -> Option<String>) -> Option<usize> {
    let limits = groups.lines().filter_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let (root, name) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|controller| controller == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => return None,
        };
        // A group is also held to what those above it allow. Within a container
        // the group itself may be what is mounted as the root.
        let path = path.trim_matches('/');
        let ends = path.match_indices('/').map(|(end, _)| end).chain([0, path.len()]);
        let above = ends.map(|end| path.get(..end).unwrap_or_default());
        // Where there is no limit it says `max`, which is no number.
        let limit = |group: &str| file(&format!("{root}/{group}/{name}"))?.trim().parse().ok();
        above.filter_map(limit).min()
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the groups of a process allow, of files with these contents.
    fn found(groups: &str, files: &[(&str, &str)]) -> Option<usize> {
        allowed(groups, |path| {
            let path = path.replace("//", "/");
            let found = files.iter().find(|(name, _)| *name == path);
            found.map(|(_, text)| format!("{text}\n"))
        })
    }

    #[test]
    fn what_groups_allow_is_found_in_both_versions() {
        for (groups, files, expected) in [
            ("0::/\n", &[("/sys/fs/cgroup/memory.max", "1000")][..], Some(1_000)),
            ("0::/\n", &[("/sys/fs/cgroup/memory.max", "max")], None),
            ("0::/\n", &[], None),
            (
                "0::/system.slice/myweb.service\n",
                &[
                    ("/sys/fs/cgroup/system.slice/myweb.service/memory.max", "max"),
                    ("/sys/fs/cgroup/system.slice/memory.max", "2000"),
                ],
                Some(2_000),
            ),
            (
                "5:cpu,memory:/docker/a\n1:pids:/docker/a\n0::/\n",
                &[("/sys/fs/cgroup/memory/docker/a/memory.limit_in_bytes", "3000")],
                Some(3_000),
            ),
            (
                "5:memory:/docker/a\n",
                &[("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712")],
                Some(9_223_372_036_854_771_712),
            ),
            ("nonsense\n::\n", &[], None),
        ] {
            assert_eq!(found(groups, files), expected, "{groups}");
        }
    }

    #[test]
    fn what_the_machine_has_is_found() {
        assert_eq!(in_meminfo("MemFree: 1 kB\nMemTotal:  24 kB\n"), Some(24 << 10));
        assert_eq!(in_meminfo("MemTotal: a lot\n"), None);
        assert!(there_is().is_none_or(|bytes| bytes > 1 << 20));
    }
}
