//! seccomp: the system calls that a tool may not make. They fail with an error that
//! programs expect, so that one which only tries goes on.

use std::collections::BTreeMap;
use std::env::consts::ARCH;

use libc::{c_int, c_long};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch, apply_filter, sock_filter,
};

/// Calls that are refused whatever their arguments are.
const REFUSED: &[c_long] = &[
    // Other processes: their memory, their descriptors, their place in the schedule.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_process_mrelease,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_kcmp,
    libc::SYS_tkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    libc::SYS_setpriority,
    libc::SYS_ioprio_set,
    libc::SYS_setrlimit,
    // The process group, which is killed as a whole.
    libc::SYS_setsid,
    libc::SYS_setpgid,
    // Namespaces and mounts.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    // Parts of the kernel that builds have no use for.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_fanotify_init,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    // Memory and queues that outlive the tool, or that other processes share.
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_semget,
    libc::SYS_semop,
    libc::SYS_semtimedop,
    libc::SYS_semctl,
    libc::SYS_msgget,
    libc::SYS_msgsnd,
    libc::SYS_msgrcv,
    libc::SYS_msgctl,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
    // What Landlock does not restrict, at all or before Linux 6.2, though files are named
    // by any path: owners, attributes, sizes and news of changes.
    libc::SYS_truncate,
    libc::SYS_inotify_add_watch,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    463, // setxattrat
    466, // removexattrat
    469, // file_setattr
    // Sockets that wait for others.
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
];

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
const REFUSED_OF_MACHINE: &[c_long] = &[
    libc::SYS_kexec_file_load,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lchown,
];
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const REFUSED_OF_MACHINE: &[c_long] = &[];

/// Calls of sockets that a step without network does not make either.
const REFUSED_WITHOUT_NETWORK: &[c_long] =
    &[libc::SYS_socket, libc::SYS_connect, libc::SYS_bind, libc::SYS_sendto];

/// Calls that change modes and times of files by paths, also by those that Landlock does
/// not let the tool open. Only a step that installs files makes them.
const REFUSED_WITHOUT_ATTRIBUTES: &[c_long] = &[
    libc::SYS_fchmodat,
    452, // fchmodat2
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chmod,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utime,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utimes,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_futimesat,
];

/// Calls that fail as on a kernel without them: their arguments are in memory, which a
/// filter cannot read, or they hold memory that no limit counts. libc and wasmtime
/// then take the older call.
const UNKNOWN: &[c_long] =
    &[libc::SYS_clone3, libc::SYS_openat2, libc::SYS_memfd_create, libc::SYS_memfd_secret];

/// Flags of `clone` that make a namespace.
const NAMESPACES: [c_int; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// Flags of `ioctl` that put text into a terminal, as if it were typed.
const TYPES_INTO_TERMINAL: [u64; 2] = [0x5412, 0x541c];

/// Calls that a step may make, or not.
#[derive(Clone, Copy, Default)]
pub(super) struct Allowed {
    /// Sockets of the internet.
    pub(super) network: bool,
    /// Changes of modes and times of files.
    pub(super) attributes: bool,
}

/// Restricts this process.
///
/// # Errors
/// The system has no seccomp, or it is switched off: a sentence.
pub(super) fn restrict(allowed: Allowed) -> Result<(), String> {
    let filters = filters(allowed).map_err(|error| format!("seccomp failed: {error}"))?;
    for filter in filters {
        apply_filter(&filter).map_err(|error| format!("seccomp failed: {error}"))?;
    }
    Ok(())
}

fn filters(allowed: Allowed) -> Result<Vec<BpfProgram>, BackendError> {
    let mut refused: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    let always = REFUSED.iter().chain(REFUSED_OF_MACHINE);
    let network = REFUSED_WITHOUT_NETWORK.iter().filter(|_| !allowed.network);
    let attributes = REFUSED_WITHOUT_ATTRIBUTES.iter().filter(|_| !allowed.attributes);
    let calls = always.chain(network).chain(attributes);
    refused.extend(calls.map(|call| (*call, Vec::new())));
    refused.extend(refused_by_arguments(allowed)?);
    let unknown = UNKNOWN.iter().map(|call| (*call, Vec::new())).collect();
    let mut filters = vec![filter(refused, libc::EPERM)?, filter(unknown, libc::ENOSYS)?];
    if cfg!(target_arch = "x86_64") {
        filters.push(no_other_numbers());
    }
    Ok(filters)
}

fn filter(
    calls: BTreeMap<i64, Vec<SeccompRule>>,
    error: c_int,
) -> Result<BpfProgram, BackendError> {
    let machine = TargetArch::try_from(ARCH)?;
    let fails = SeccompAction::Errno(error.unsigned_abs());
    SeccompFilter::new(calls, SeccompAction::Allow, fails, machine)?.try_into()
}

/// A filter that knows no call by the numbers of x32, a second table of x86-64.
fn no_other_numbers() -> BpfProgram {
    let load_number = sock_filter { code: 0x20, jt: 0, jf: 0, k: 0 };
    let is_of_x32 = sock_filter { code: 0x35, jt: 0, jf: 1, k: 0x4000_0000 };
    let end = |action| sock_filter { code: 0x06, jt: 0, jf: 0, k: u32::from(action) };
    let unknown = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    vec![load_number, is_of_x32, end(unknown), end(SeccompAction::Allow)]
}

/// The conditions under which a call is refused: each of the ways has all of its own.
type Ways = Vec<Vec<Condition>>;

/// An argument by its place, how it is compared, and with which value. The kernel takes
/// numbers as those of 32 bits, and so do conditions; pointers have 64.
type Condition = (u8, SeccompCmpArgLen, SeccompCmpOp, u64);

fn refused_by_arguments(allowed: Allowed) -> Result<BTreeMap<i64, Vec<SeccompRule>>, BackendError> {
    let mut calls: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for (call, ways) in calls_with_arguments(allowed) {
        let rules = ways.into_iter().map(rule).collect::<Result<_, _>>()?;
        calls.insert(call, rules);
    }
    Ok(calls)
}

fn rule(way: Vec<Condition>) -> Result<SeccompRule, BackendError> {
    let conditions = way.into_iter().map(|(place, length, compared, value)| {
        SeccompCondition::new(place, length, compared, value)
    });
    SeccompRule::new(conditions.collect::<Result<_, _>>()?)
}

fn calls_with_arguments(allowed: Allowed) -> Vec<(c_long, Ways)> {
    let own = std::process::id().into();
    let to_others = none_of(0, &[0, own]);
    let signals = [none_of(0, &[own]), none_of(2, &[number(libc::SIGURG)])].concat();
    let mut calls = vec![
        // A process may end itself; the threads of Go interrupt each other by SIGURG.
        (libc::SYS_kill, vec![to_others.clone()]),
        (libc::SYS_tgkill, vec![signals]),
        // Limits of other processes, or new ones.
        (libc::SYS_prlimit64, vec![to_others.clone(), is_pointer(2)]),
        (libc::SYS_sched_setaffinity, vec![to_others.clone()]),
        (libc::SYS_sched_setscheduler, vec![to_others.clone()]),
        (libc::SYS_sched_setparam, vec![to_others.clone()]),
        (libc::SYS_sched_setattr, vec![to_others]),
        (libc::SYS_prctl, vec![equals(0, number(libc::PR_SET_PDEATHSIG))]),
        (libc::SYS_ioctl, TYPES_INTO_TERMINAL.map(|request| equals(1, request)).into()),
        (libc::SYS_clone, NAMESPACES.map(|flag| has_bit(0, number(flag))).into()),
        // Pipes to children are pairs of connected streams. One end of a pair of datagrams
        // could be connected to a socket of another process.
        (libc::SYS_socketpair, pairs_refused()),
    ];
    // Landlock takes a file that is opened for reading, and emptied, as one that is read.
    let truncates = number(libc::O_TRUNC);
    let mask = truncates | number(libc::O_ACCMODE);
    let empties =
        |place| vec![(place, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(mask), truncates)];
    calls.push((libc::SYS_openat, vec![empties(2)]));
    #[cfg(target_arch = "x86_64")]
    calls.push((libc::SYS_open, vec![empties(1)]));
    if !allowed.attributes {
        // Times of an open file may change.
        calls.push((libc::SYS_utimensat, vec![is_pointer(1)]));
    }
    if allowed.network {
        calls.push((libc::SYS_socket, sockets_refused()));
    }
    calls
}

fn pairs_refused() -> Ways {
    vec![none_of(0, &[number(libc::AF_UNIX)]), none_of(1, &kinds(&[libc::SOCK_STREAM]))]
}

/// With network: all but TCP and UDP over IP.
fn sockets_refused() -> Ways {
    vec![
        none_of(0, &[libc::AF_INET, libc::AF_INET6].map(number)),
        none_of(1, &kinds(&[libc::SOCK_STREAM, libc::SOCK_DGRAM])),
        none_of(2, &[0, libc::IPPROTO_TCP, libc::IPPROTO_UDP].map(number)),
    ]
}

/// Kinds of sockets, with each of their flags.
fn kinds(kinds: &[c_int]) -> Vec<u64> {
    let flags =
        [0, libc::SOCK_CLOEXEC, libc::SOCK_NONBLOCK, libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK];
    kinds.iter().flat_map(|kind| flags.map(|flag| number(kind | flag))).collect()
}

fn none_of(place: u8, values: &[u64]) -> Vec<Condition> {
    values.iter().map(|value| (place, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, *value)).collect()
}

fn equals(place: u8, value: u64) -> Vec<Condition> {
    vec![(place, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)]
}

fn is_pointer(place: u8) -> Vec<Condition> {
    vec![(place, SeccompCmpArgLen::Qword, SeccompCmpOp::Ne, 0)]
}

fn has_bit(place: u8, bit: u64) -> Vec<Condition> {
    vec![(place, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(bit), bit)]
}

fn number(value: c_int) -> u64 {
    value.unsigned_abs().into()
}
