//! The same promises with data in Redis, by Debian's `redis-server`.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{buckets_are_their_tenants, hostile, operations, two_tenants};
use crate::judges::is_there;
use crate::support::tls::Authority;
use crate::support::{BINARY, Server, nobodys_address, test_guest, wait_for};

/// A server of Redis on a socket of the file system, ended when dropped.
struct Redis {
    child: Child,
    socket: PathBuf,
    folder: tempfile::TempDir,
}

impl Redis {
    /// None if there is no Redis here, which is told.
    fn start() -> Option<Redis> {
        Redis::start_with(|_| Vec::new())
    }

    /// The same with more arguments, which may name files of its folder.
    fn start_with(more: impl FnOnce(&Path) -> Vec<String>) -> Option<Redis> {
        is_there("redis-server").then(|| {
            let folder = tempfile::tempdir().expect("a folder");
            let socket = folder.path().join("redis.sock");
            Redis { child: spawn(&socket, &more(folder.path())), socket, folder }
        })
    }

    fn url(&self) -> String {
        format!("keyvalue = \"redis+unix://{}\"", self.socket.display())
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Ends it, and starts it again with what it has saved.
    fn stop(&mut self) {
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").arg(pid).status();
        let _ = self.child.wait();
    }

    fn start_again(&mut self) {
        self.child = spawn(&self.socket, &[]);
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(socket: &Path, more: &[String]) -> Child {
    let folder = socket.parent().expect("a folder");
    let child = Command::new("redis-server")
        .args(["--port", "0", "--save", "", "--appendonly", "yes", "--appendfsync", "always"])
        .arg("--unixsocket")
        .arg(socket)
        .arg("--dir")
        .arg(folder)
        .args(more)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server");
    wait_for(|| UnixStream::connect(socket).is_ok());
    child
}

/// A server whose only tenant's data is there.
fn start(redis: &Redis) -> Server {
    configure(redis, &redis.url());
    Server::start_in(redis.path(), &[])
}

fn configure(redis: &Redis, url: &str) {
    let toml = format!(
        "{url}\n[[tenant]]\nname = \"a\"\nhosts = [\"*\"]\n[[tenant.route]]\npath = \"/*\"\n\
         app = \"{}\"\ngrants = {{ keyvalue = [\"visits\"] }}\n",
        test_guest("store")
    );
    fs::write(redis.path().join("myweb.toml"), toml).expect("a file");
}

#[test]
fn every_operation_does_the_same_in_redis() {
    let Some(redis) = Redis::start() else { return };
    let server = start(&redis);
    operations::all_operations(&server);
    hostile::limits_hold(&server);
    operations::listings_are_pages(&server);
    assert!(!redis.path().join("state").exists());
}

#[test]
fn servers_that_share_a_redis_count_together() {
    let Some(redis) = Redis::start() else { return };
    let servers = [start(&redis), start(&redis)];
    operations::all_count(&servers, 10, 25);
    std::thread::scope(|scope| {
        for server in &servers {
            scope.spawn(move || {
                (0..20).for_each(|_| assert_eq!(server.get("/append?key=list").text(), "appended"));
            });
        }
    });
    assert_eq!(servers[0].get("/size?key=list").text(), "40");
}

#[test]
fn buckets_in_redis_are_their_tenants() {
    let Some(redis) = Redis::start() else { return };
    buckets_are_their_tenants(&two_tenants(redis.path(), &redis.url()));
}

#[test]
fn b12_a_quota_is_its_tenants_in_redis() {
    let Some(redis) = Redis::start() else { return };
    let more = format!("{}\nlimits = {{ key-value = \"4MiB\" }}", redis.url());
    hostile::quotas_hold(&two_tenants(redis.path(), &more));
}

#[test]
fn b12_keys_are_only_ever_data_in_redis() {
    let Some(redis) = Redis::start() else { return };
    hostile::keys_are_only_ever_data(&two_tenants(redis.path(), &redis.url()));
}

#[test]
fn a_redis_that_is_gone_is_an_error_and_it_is_used_when_it_is_back() {
    let Some(mut redis) = Redis::start() else { return };
    let server = start(&redis);
    assert_eq!(server.get("/set?key=a&value=1").text(), "set");
    redis.stop();
    let said = server.get("/get?key=a").text().to_owned();
    assert!(said.contains("the store failed; the server's log says why"), "{said}");
    server.wait_for_log("key-value data in Redis at");
    assert_eq!(server.get("/config?key=a").text(), "none", "the server goes on");
    redis.start_again();
    wait_for(|| server.get("/get?key=a").text() == "1");
    server.wait_for_log("the key-value data is there again");
    // One that is not there at the start is told, without its password.
    redis.stop();
    drop(server);
    let server = start(&redis);
    let line = server.wait_for_log("key-value data in Redis at");
    assert!(line.contains("redis.sock"), "{line}");
    redis.start_again();
    wait_for(|| server.get("/get?key=a").text() == "1");
}

#[test]
fn a_redis_over_tls_is_used_if_it_is_trusted() {
    let authority = Authority::new();
    let address = nobodys_address();
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    let redis = Redis::start_with(|folder| {
        authority.certify(folder, "redis", &[&host]);
        fs::write(folder.join("authority.pem"), authority.pem()).expect("a file");
        let file = |name: &str| folder.join(name).display().to_string();
        let (own, trusted) = (file("redis.pem"), file("authority.pem"));
        let tls = ["--bind", &host, "--tls-port", &port, "--tls-auth-clients", "no"];
        let files =
            ["--tls-cert-file", &own, "--tls-key-file", &own, "--tls-ca-cert-file", &trusted];
        tls.iter().chain(&files).map(|argument| (*argument).to_owned()).collect()
    });
    let Some(redis) = redis else { return };
    configure(&redis, &format!("keyvalue = \"rediss://{address}\""));
    let mut command = Command::new(BINARY);
    command.current_dir(redis.path()).env("SSL_CERT_FILE", redis.path().join("authority.pem"));
    let server = Server::start_by(&mut command, &[]);
    assert_eq!(server.get("/set?key=a&value=1").text(), "set");
    assert_eq!(server.get("/get?key=a").text(), "1");
    // The system's authorities have not signed it.
    let server = Server::start_in(redis.path(), &[]);
    let said = server.get("/get?key=a").text().to_owned();
    assert!(said.contains("the store failed; the server's log says why"), "{said}");
    server.wait_for_log("key-value data in Redis at");
}
