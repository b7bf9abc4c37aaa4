//! A server that apps send requests to: what each of its connections says is the
//! test's own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use super::PATIENCE;

/// It listens until the test's process ends.
pub struct Origin {
    pub port: u16,
    connections: Arc<AtomicUsize>,
    told: Mutex<Receiver<String>>,
}

/// One of its connections.
pub struct Conversation {
    stream: BufReader<TcpStream>,
    /// Which one it is, from 1.
    pub number: usize,
    tell: Sender<String>,
}

impl Origin {
    /// Holds each conversation in a thread of its own.
    pub fn start(hold: impl Fn(&mut Conversation) + Send + Sync + 'static) -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (connections, hold) = (Arc::new(AtomicUsize::new(0)), Arc::new(hold));
        let (tell, told) = channel();
        let count = connections.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
                let number = count.fetch_add(1, SeqCst) + 1;
                let stream = BufReader::new(stream);
                let mut conversation = Conversation { stream, number, tell: tell.clone() };
                let hold = hold.clone();
                std::thread::spawn(move || hold(&mut conversation));
            }
        });
        Origin { port, connections, told: Mutex::new(told) }
    }

    /// Answers every request without a body with the same bytes.
    pub fn saying(answer: &'static str) -> Origin {
        Origin::start(move |conversation| {
            while let Some(head) = conversation.head() {
                conversation.tell(&head);
                if !conversation.send(answer.as_bytes()) {
                    return;
                }
            }
        })
    }

    /// Its address, as an authority.
    pub fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The grant of its address.
    pub fn grant(&self) -> String {
        format!("http://{}", self.authority())
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }

    /// What a conversation told next.
    pub fn told(&self) -> String {
        let told = self.told.lock().expect("no reader panicked");
        told.recv_timeout(PATIENCE).expect("something is told")
    }
}

impl Conversation {
    /// The head of the next request, or nothing if the client closed.
    pub fn head(&mut self) -> Option<String> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.stream.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        Some(head)
    }

    /// Waits for the next byte and leaves it: a connection that ends then is reset.
    pub fn wait(&self) {
        let _ = self.stream.get_ref().peek(&mut [0]);
    }

    /// The next byte.
    pub fn byte(&mut self) -> Option<u8> {
        let mut byte = [0];
        self.stream.read_exact(&mut byte).ok().map(|()| byte[0])
    }

    /// All that comes until the client closes or breaks off.
    pub fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        let _ = self.stream.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Sends bytes; false if the client has left.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.get_mut().write_all(bytes).is_ok()
    }

    /// Tells the test something.
    pub fn tell(&self, what: &str) {
        let _ = self.tell.send(what.to_owned());
    }
}
