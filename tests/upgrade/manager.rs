//! A manager of services as systemd is with `NotifyAccess=main`: the kernel tells which
//! process sent a message, and those of the main process alone count.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use crate::support::PATIENCE;

pub struct Manager {
    pub path: PathBuf,
    /// The process that is believed.
    pub main: u32,
    /// Messages of other processes.
    pub refused: Vec<String>,
    socket: UnixDatagram,
}

impl Manager {
    pub fn new(path: &Path) -> Manager {
        let socket = UnixDatagram::bind(path).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        socket2::SockRef::from(&socket).set_passcred(true).expect("credentials");
        Manager { path: path.to_owned(), main: 0, refused: Vec::new(), socket }
    }

    /// Takes messages until the main process says so. A new main process is one that the
    /// old one names.
    pub fn wait_for(&mut self, state: &str) {
        loop {
            let (sender, text) = self.receive();
            if sender != self.main {
                self.refused.push(format!("{sender}: {text}"));
                continue;
            }
            if let Some(main) = text.lines().find_map(|line| line.strip_prefix("MAINPID=")) {
                self.main = main.parse().expect("a process");
            }
            if text.lines().any(|line| line == state) {
                return;
            }
        }
    }

    /// The next message, and the process that sent it.
    fn receive(&self) -> (u32, String) {
        let mut text = [0; 1_000];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        let mut pieces = [IoSliceMut::new(&mut text)];
        let received = recvmsg(&self.socket, &mut pieces, &mut beside, RecvFlags::empty());
        let count = received.expect("a message").bytes;
        let sender = beside.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmCredentials(sender) => Some(sender.pid),
            _ => None,
        });
        let sender = sender.expect("a sender").as_raw_nonzero().get().cast_unsigned();
        (sender, String::from_utf8_lossy(&text[..count]).into_owned())
    }
}
