//! Handing over to a new process: it is started with the listening sockets, and
//! the old one stops once the new one has said that it serves.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram as StdUnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use sd_notify::NotifyState;
use tokio::net::UnixDatagram;
use tokio::time::{sleep, timeout};

/// The first descriptor that is passed on (sd_listen_fds(3)).
const FIRST: i32 = 3;

/// How long a new process may take to load all that it serves.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it is looked whether it has ended.
const LOOK: Duration = Duration::from_millis(50);

/// Tells a new process that the old one names the new one to systemd. A version before
/// did not: then the new process still has to name itself.
const TELLS: &str = "MYWEB_OLD_PROCESS_TELLS";

/// What a new process says once it serves.
const SERVING: &[u8] = b"serving";

/// The listening sockets of a server, for a process that takes over.
#[derive(Debug)]
pub struct Handover(pub(crate) Vec<OwnedFd>);

impl Handover {
    /// Starts this program again, as it is on the disk now, with the sockets.
    /// Returns the id of the new process once it serves.
    ///
    /// # Errors
    /// A sentence: the new process did not start, ended, or took too long.
    /// Nothing is left of it.
    pub async fn start(&self) -> Result<u32, String> {
        let said = |error: io::Error| error.to_string();
        let (ours, theirs) = StdUnixDatagram::pair().map_err(said)?;
        ours.set_nonblocking(true).map_err(said)?;
        let ours = UnixDatagram::from_std(ours).map_err(said)?;
        let mut successor = Successor { child: self.spawn(theirs.into())?, serves: false };
        let serving = timeout(PATIENCE, serving(&ours, &mut successor.child)).await;
        serving.unwrap_or_else(|_| Err("it took too long".to_owned()))?;
        successor.serves = true;
        let process = successor.child.id();
        // systemd believes the main process alone (`NotifyAccess=main`), which this
        // process is until now.
        notify(&[NotifyState::MainPid(process)]);
        Ok(process)
    }

    fn spawn(&self, ready: OwnedFd) -> Result<Child, String> {
        let copies: io::Result<Vec<OwnedFd>> = self.0.iter().map(OwnedFd::try_clone).collect();
        let copies = copies.map_err(|error| error.to_string())?;
        let mappings = copies.into_iter().chain([ready]).zip(FIRST..);
        let mappings = mappings.map(|(parent_fd, child_fd)| FdMapping { parent_fd, child_fd });
        let mut arguments = std::env::args_os();
        let program = arguments.next().ok_or("the program has no name")?;
        let mut command = Command::new(&program);
        let count = (self.0.len() + 1).to_string();
        command.args(arguments).stdin(Stdio::null());
        command.env("LISTEN_FDS", count).env_remove("LISTEN_PID").env(TELLS, "1");
        command.fd_mappings(mappings.collect()).map_err(|error| error.to_string())?;
        command.spawn().map_err(|error| format!("{}: {error}", program.to_string_lossy()))
    }
}

/// A new process. Until it serves it is ended with this one, or when this one
/// stops to wait for it.
struct Successor {
    child: Child,
    serves: bool,
}

impl Drop for Successor {
    fn drop(&mut self) {
        if !self.serves {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Waits until a new process says that it serves.
async fn serving(socket: &UnixDatagram, child: &mut Child) -> Result<(), String> {
    let mut word = [0; SERVING.len()];
    loop {
        tokio::select! {
            received = socket.recv(&mut word) => match received {
                Ok(_) if word == SERVING => return Ok(()),
                _ => return Err("it did not say that it serves".to_owned()),
            },
            () = sleep(LOOK) => {}
        }
        if let Ok(Some(status)) = child.try_wait() {
            return Err(format!("it ended: {status}"));
        }
    }
}

/// Tells the process before this one that this one serves, or systemd (`Type=notify`) if
/// there was no process before.
pub(crate) fn say_serving(parent: Option<&StdUnixDatagram>) {
    if let Some(Err(error)) = parent.map(|parent| parent.send(SERVING)) {
        tracing::debug!("nobody hears that this process serves: {error}");
    }
    let parent_tells = parent.is_some() && std::env::var_os(TELLS).is_some();
    if !parent_tells {
        notify(&[NotifyState::MainPid(std::process::id()), NotifyState::Ready]);
    }
}

/// Tells systemd, if this process was started by systemd.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!("systemd does not hear which process serves: {error}");
    }
}
