//! The memory that this process may use: that of the machine, or the limit of its control group.

use std::path::{Component, Path};

use sysinfo::{MemoryRefreshKind, System};

/// Where Linux mounts control groups.
const CONTROL_GROUPS: &str = "/sys/fs/cgroup";

/// The memory that this process may use, in bytes: the physical memory of the machine, or the limit of the process's
/// control group (version 1 or 2) or of a group above it if one is lower. `None` if neither is known.
pub fn available_memory() -> Option<u64> {
    let mut system = System::new();
    system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
    let machine = Some(system.total_memory()).filter(|bytes| *bytes > 0);
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    machine.into_iter().chain(group_limit(&groups, Path::new(CONTROL_GROUPS))).min()
}

/// The lowest limit of the control groups of a process, whose `/proc/self/cgroup` is `groups`, in bytes. `root` is the
/// folder in which the hierarchies are mounted.
fn group_limit(groups: &str, root: &Path) -> Option<u64> {
    groups.lines().filter_map(|line| limit_in_hierarchy(line, root)).min()
}

/// The lowest limit of a group and of those above it. The line has the form `ID:CONTROLLERS:PATH`; version 2 has one
/// hierarchy, whose controllers are not named.
fn limit_in_hierarchy(line: &str, root: &Path) -> Option<u64> {
    let (_, line) = line.split_once(':')?;
    let (controllers, path) = line.split_once(':')?;
    let (mounts, files): (&[&str], &[&str]) = match controllers {
        // Next to hierarchies of version 1, that of version 2 is in a folder of its own.
        "" => (&["", "unified"], &["memory.max", "memory.high"]),
        _ if controllers.split(',').any(|name| name == "memory") => (&["memory"], &["memory.limit_in_bytes"]),
        _ => return None,
    };
    let path = Path::new(path.trim_start_matches('/'));
    // A container may see the path of its host: then its own group is mounted as the root. The last ancestor of a path is
    // the root. A path out of the mounted groups begins with `..`.
    let inside = path.components().all(|part| matches!(part, Component::Normal(_)));
    let groups = if inside { path } else { Path::new("") }.ancestors();
    let limits = groups.flat_map(|group| {
        let folders = mounts.iter().map(move |mount| root.join(mount).join(group));
        folders.flat_map(|folder| files.iter().filter_map(move |file| read_limit(&folder.join(file))))
    });
    limits.min()
}

/// The number in a file; `None` for `max`, which is no limit.
fn read_limit(file: &Path) -> Option<u64> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;

    /// A folder with these files, whose contents are limits.
    fn mounted(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (file, limit) in files {
            let file = root.path().join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, format!("{limit}\n")).unwrap();
        }
        root
    }

    #[test]
    fn the_lowest_limit_of_a_group_and_those_above_it_counts() {
        let root = mounted(&[
            ("a.slice/memory.max", "3000"),
            ("a.slice/b.scope/memory.max", "max"),
            ("a.slice/b.scope/memory.high", "4000"),
            ("other/memory.max", "5"),
        ]);
        assert_eq!(group_limit("0::/a.slice/b.scope\n", root.path()), Some(3000));
        assert_eq!(group_limit("0::/a.slice/c.scope\n", root.path()), Some(3000));
        assert_eq!(group_limit("0::/\n", root.path()), None);
    }

    #[test]
    fn both_versions_are_read() {
        let root = mounted(&[("memory/docker/memory.limit_in_bytes", "700"), ("unified/memory.max", "600")]);
        let groups = "3:cpu,cpuacct:/docker\n2:memory:/docker\n";
        assert_eq!(group_limit(groups, root.path()), Some(700));
        assert_eq!(group_limit(&format!("{groups}0::/\n"), root.path()), Some(600));
    }

    #[test]
    fn a_container_that_sees_the_path_of_its_host_has_its_group_at_the_root() {
        let root = mounted(&[("memory.max", "800"), ("memory/memory.limit_in_bytes", "900")]);
        assert_eq!(group_limit("0::/kubepods/pod1/c2\n", root.path()), Some(800));
        assert_eq!(group_limit("5:memory:/docker/0d27\n", root.path()), Some(900));
        assert_eq!(group_limit("0::/../outside\n", root.path()), Some(800));
    }

    #[test]
    fn this_machine_has_memory() {
        assert!(available_memory().is_some_and(|bytes| bytes > 64 << 20));
    }
}
