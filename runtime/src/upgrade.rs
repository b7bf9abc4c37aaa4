//! Handing over to a new process: it is started with the listening sockets, and
//! the old one stops once the new one has said that it serves. The old one sends the
//! names of what works, and the new one takes over only if all of that works there.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram as StdUnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use rustix::process::{Pid, getppid};
use sd_notify::NotifyState;
use tokio::net::UnixDatagram;
use tokio::time::{sleep, timeout};

use crate::site::Working;

/// The first descriptor that is passed on (sd_listen_fds(3)).
const FIRST: i32 = 3;

/// How long a new process may take to load all that it serves.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it is looked whether it has ended.
const LOOK: Duration = Duration::from_millis(50);

/// What a new process says once it serves.
const SERVING: &[u8] = b"serving";

/// The variable that announces a list of what works: the id of the process that sends
/// the list, and the list's length in bytes. That process also names the new one to
/// systemd; older versions did neither.
const ANNOUNCED: &str = "MYWEB_WORKING";

/// The list is sent in pieces of this size, in bytes: a datagram cannot be larger than the
/// socket's buffer.
const PIECE: usize = 32 << 10;

/// The longest list, in bytes.
const LONGEST: usize = 256 << 20;

/// How long each piece may take to arrive.
const PIECE_TIME: Duration = Duration::from_secs(10);

/// The listening sockets of a server, for a process that takes over.
pub struct Handover {
    sockets: Vec<OwnedFd>,
    working: Box<dyn Fn() -> Working + Send + Sync>,
}

impl fmt::Debug for Handover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handover").field("sockets", &self.sockets).finish_non_exhaustive()
    }
}

impl Handover {
    pub(crate) fn new(
        sockets: Vec<OwnedFd>,
        working: impl Fn() -> Working + Send + Sync + 'static,
    ) -> Handover {
        Handover { sockets, working: Box::new(working) }
    }

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
        let working = serde_json::to_vec(&(self.working)()).map_err(|error| error.to_string())?;
        let child = self.spawn(theirs.into(), working.len())?;
        let mut successor = Successor { child, serves: false };
        let serving = tokio::select! {
            serving = timeout(PATIENCE, serving(&ours, &mut successor.child)) => serving,
            never = send(&ours, &working) => match never {},
        };
        serving.unwrap_or_else(|_| Err("it took too long".to_owned()))?;
        successor.serves = true;
        let process = successor.child.id();
        // systemd believes the main process alone (`NotifyAccess=main`), which this
        // process is until now.
        notify(&[NotifyState::MainPid(process)]);
        Ok(process)
    }

    fn spawn(&self, ready: OwnedFd, working: usize) -> Result<Child, String> {
        let copies: io::Result<Vec<OwnedFd>> =
            self.sockets.iter().map(OwnedFd::try_clone).collect();
        let copies = copies.map_err(|error| error.to_string())?;
        let mappings = copies.into_iter().chain([ready]).zip(FIRST..);
        let mappings = mappings.map(|(parent_fd, child_fd)| FdMapping { parent_fd, child_fd });
        let mut arguments = std::env::args_os();
        let program = arguments.next().ok_or("the program has no name")?;
        let mut command = Command::new(&program);
        let count = (self.sockets.len() + 1).to_string();
        command.args(arguments).stdin(Stdio::null());
        command.env("LISTEN_FDS", count).env_remove("LISTEN_PID");
        command.env(ANNOUNCED, format!("{} {working}", std::process::id()));
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

/// Sends the list of what works. A failure is ignored: the new process may have ended, or
/// may not read the list. `serving` tells how the new process fares.
async fn send(socket: &UnixDatagram, working: &[u8]) -> Infallible {
    for piece in working.chunks(PIECE) {
        if socket.send(piece).await.is_err() {
            break;
        }
    }
    std::future::pending().await
}

/// The length in bytes of the list that the parent process announces, if it does.
fn announced() -> Option<usize> {
    let text = std::env::var(ANNOUNCED).ok()?;
    let (sender, length) = text.split_once(' ')?;
    // An older version in between passes the variable on, and sends nothing.
    let is_parent = sender.parse().ok() == getppid().map(Pid::as_raw_nonzero);
    length.parse().ok().filter(|length| *length <= LONGEST && is_parent)
}

/// What worked in the process that this one takes over from, if that process says so.
///
/// # Errors
/// The list was announced, and does not arrive: a sentence.
pub(crate) fn working_before(parent: Option<&StdUnixDatagram>) -> Result<Option<Working>, String> {
    let (Some(parent), Some(length)) = (parent, announced()) else { return Ok(None) };
    let said = |error: io::Error| format!("the process before this one says nothing: {error}");
    parent.set_read_timeout(Some(PIECE_TIME)).map_err(said)?;
    let (mut list, mut piece) = (Vec::new(), vec![0; PIECE]);
    while list.len() < length {
        let received = parent.recv(&mut piece).map_err(said)?;
        list.extend_from_slice(&piece[..received]);
    }
    let working = serde_json::from_slice(&list).map_err(|error| error.to_string())?;
    Ok(Some(working))
}

/// Tells the process before this one that this one serves, or systemd (`Type=notify`) if
/// there was no process before.
pub(crate) fn say_serving(parent: Option<&StdUnixDatagram>) {
    if let Some(Err(error)) = parent.map(|parent| parent.send(SERVING)) {
        tracing::debug!("nobody hears that this process serves: {error}");
    }
    let parent_tells = parent.is_some() && announced().is_some();
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
