//! The same promises with data in Redis, by Debian's `redis-server`.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{buckets_are_their_tenants, hostile, operations, two_tenants};
use crate::judges::is_there;
use crate::support::{Server, test_guest, wait_for};

/// A server of Redis on a socket of the file system, ended when dropped.
struct Redis {
    child: Child,
    socket: PathBuf,
    folder: tempfile::TempDir,
}

impl Redis {
    /// None if there is no Redis here, which is told.
    fn start() -> Option<Redis> {
        is_there("redis-server").then(|| {
            let folder = tempfile::tempdir().expect("a folder");
            let socket = folder.path().join("redis.sock");
            Redis { child: spawn(&socket), socket, folder }
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
        self.child = spawn(&self.socket);
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(socket: &Path) -> Child {
    let folder = socket.parent().expect("a folder");
    let child = Command::new("redis-server")
        .args(["--port", "0", "--save", "", "--appendonly", "yes", "--appendfsync", "always"])
        .arg("--unixsocket")
        .arg(socket)
        .arg("--dir")
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server");
    wait_for(|| UnixStream::connect(socket).is_ok());
    child
}

/// A server whose only tenant's data is there.
fn start(redis: &Redis) -> Server {
    let toml = format!(
        "{}\n[[tenant]]\nname = \"a\"\nhosts = [\"*\"]\n[[tenant.route]]\npath = \"/*\"\n\
         app = \"{}\"\ngrants = {{ keyvalue = [\"visits\"] }}\n",
        redis.url(),
        test_guest("store")
    );
    fs::write(redis.path().join("myweb.toml"), toml).expect("a file");
    Server::start_in(redis.path(), &[])
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
