//! What a guest asks of the server itself, and in what amounts.

use std::future::{Future, poll_fn};
use std::mem::forget;
use std::task::Poll;

use wasip3::cli::{environment, stdout};
use wasip3::clocks::monotonic_clock::{wait_for, wait_until};
use wasip3::filesystem::preopens;
use wasip3::http::types::{ErrorCode, Fields, Request, RequestOptions, Response};
use wasip3::random::{insecure, random};
use wasip3::sockets::ip_name_lookup::resolve_addresses;
use wasip3::sockets::types::{
    IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, TcpSocket, UdpSocket,
};
use wasip3::wit_bindgen::spawn_local;
use wasip3::{wit_future, wit_stream};

use super::{Answered, Query, consume, fetch, say, start};

pub async fn answer(path: &str, query: Query, request: Request) -> Answered {
    match path {
        "/host-random" => {
            let (good, quick) = (query.number("bytes"), query.number("insecure"));
            let bytes = random::get_random_bytes(good).len()
                + insecure::get_insecure_random_bytes(quick).len();
            say(format!("{bytes}\n"))
        }
        "/host-leak" => say(format!("{} leaked\n", leak(&query))),
        "/host-cancel" => {
            cancel(&query).await;
            say("cancelled\n".to_owned())
        }
        "/host-wait-for-ever" => {
            if query.text("until").is_empty() {
                wait_for(u64::MAX).await
            } else {
                wait_until(u64::MAX).await
            }
            say("waited\n".to_owned())
        }
        "/host-print" => {
            let (mut stream, printed) = wit_stream::new();
            let ended = stdout::write_via_stream(printed);
            let left = stream.write_all(vec![b'x'; (query.number("mib") as usize) << 20]).await;
            drop((stream, ended));
            say(format!("{} left\n", left.len()))
        }
        "/host-one-write" => start(200, &[], async move |mut answer| {
            answer.write(vec![b'x'; (query.number("mib") as usize) << 20]).await;
            answer.end(None).await;
        }),
        "/host-to-itself" => {
            let (mut stream, mut back) = wit_stream::new();
            let bytes = (query.number("mib") as usize) << 20;
            spawn_local(async move {
                stream.write_all(vec![b'x'; bytes]).await;
            });
            let mut count = 0;
            while count < bytes {
                count += back.read(Vec::with_capacity(bytes)).await.1.len();
            }
            say(format!("{count}\n"))
        }
        "/host-room" => {
            let (mut body, _) = consume(request);
            let room = Vec::with_capacity((query.number("mib") as usize) << 20);
            say(format!("{}\n", body.read(room).await.1.len()))
        }
        "/host-forward" => forward(request),
        "/host-surroundings" => say(surroundings().await),
        _ => start(404, &[], async |answer| answer.end(None).await),
    }
}

/// Handles of a kind without number, all of them kept.
fn leak(query: &Query) -> u64 {
    let count = query.number("count");
    for _ in 0..count {
        match query.text("kind") {
            "streams" => forget(wit_stream::new::<u8>()),
            "futures" => forget(wit_future::new::<Result<(), ErrorCode>>(|| Ok(()))),
            "options" => forget(RequestOptions::new()),
            "tasks" => spawn_local(wait_for(60_000_000_000)),
            "requests" => {
                let (ended, trailers) = wit_future::new(|| Ok(None));
                forget((Request::new(Fields::new(), None, trailers, None), ended));
            }
            _ => return 0,
        }
    }
    count
}

/// Begins what takes long, a moment, and leaves it.
async fn cancel(query: &Query) {
    for _ in 0..query.number("count").max(1) {
        leave(wait_for(60_000_000_000)).await;
        leave(fetch::answer("/fetch", query)).await;
        leave(fetch::answer("/fetch-upload", query)).await;
        let (mut stream, mut back) = wit_stream::new::<u8>();
        leave(back.read(Vec::with_capacity(16))).await;
        leave(stream.write_all(vec![b'x'; 16])).await;
    }
}

async fn leave(future: impl Future) {
    let mut future = Box::pin(future);
    poll_fn(|cx| Poll::Ready(drop(future.as_mut().poll(cx)))).await;
}

/// Hands the request's own body on, with its trailers, without looking at it.
fn forward(request: Request) -> Answered {
    let (body, trailers) = consume(request);
    let fields = Fields::new();
    for name in ["x-kept", "set-cookie", "content-length", "transfer-encoding"] {
        fields.append("trailer", name.as_bytes()).expect("a header that is allowed");
    }
    let (response, _sent) = Response::new(fields, Some(body), trailers);
    Ok(response)
}

/// All that can be found around the guest; "nothing" is what there should be.
async fn surroundings() -> String {
    let mut found: Vec<String> =
        environment::get_environment().into_iter().map(|(name, _)| name).collect();
    found.extend(environment::get_arguments());
    found.extend(environment::get_initial_cwd());
    found.extend(preopens::get_directories().into_iter().map(|(_, name)| name));
    let to = IpSocketAddress::Ipv4(Ipv4SocketAddress { port: 9, address: (127, 0, 0, 1) });
    if let Ok(socket) = TcpSocket::create(IpAddressFamily::Ipv4) {
        found.extend(socket.bind(to).map(|()| "a port".to_owned()));
        found.extend(socket.connect(to).await.map(|()| "a connection".to_owned()));
    }
    if let Ok(socket) = UdpSocket::create(IpAddressFamily::Ipv4) {
        found.extend(socket.send(b"x".to_vec(), Some(to)).await.map(|()| "a datagram".to_owned()));
        found.extend(socket.connect(to).map(|()| "a peer".to_owned()));
        found.extend(socket.send(b"x".to_vec(), None).await.map(|()| "a datagram".to_owned()));
    }
    for name in ["localhost", "127.0.0.1"] {
        found.extend(resolve_addresses(name.to_owned()).await.map(|_| name.to_owned()));
    }
    if found.is_empty() { "nothing\n".to_owned() } else { found.join(" ") + "\n" }
}
