//! Descriptors that a tool does not inherit: sockets which systemd passes to the server
//! stay open across a start of a program.

use std::fs;

/// Closes all descriptors above standard error but these.
///
/// # Errors
/// The system does not list the descriptors: a sentence.
pub(super) fn close_all_but(kept: &[i32]) -> Result<(), String> {
    let open = fs::read_dir("/proc/self/fd")
        .map_err(|error| format!("/proc/self/fd: {error}"))?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let open: Vec<i32> = open.filter(|number| *number > 2 && !kept.contains(number)).collect();
    for number in open {
        // The descriptor of the list itself is closed already.
        let _ = nix::unistd::close(number);
    }
    Ok(())
}
