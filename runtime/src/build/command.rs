//! Running the tools.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// No step of a build takes this long, but one whose app loops at its import.
const LONGEST: Duration = Duration::from_secs(300);
/// How often it is looked whether a tool has ended.
const PAUSE: Duration = Duration::from_millis(10);

/// How a tool ended.
pub(super) struct Ended {
    pub(super) ok: bool,
    /// Both its outputs.
    pub(super) said: String,
}

/// Runs a tool to its end.
///
/// # Errors
/// It cannot be started, or does not end: a sentence.
pub(super) fn run(command: &mut Command) -> Result<Ended, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("cannot run {name}: {error}"))?;
    let (stdout, stderr) = (reader(child.stdout.take()), reader(child.stderr.take()));
    let ok = wait(&mut child, &name)?;
    let said = [stdout, stderr].map(|reader| reader.join().unwrap_or_default()).concat();
    Ok(Ended { ok, said: String::from_utf8_lossy(&said).into_owned() })
}

/// Reads all of a pipe on a thread of its own, so that no tool waits for it.
fn reader(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read until it broke is what it said.
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

fn wait(child: &mut Child, name: &str) -> Result<bool, String> {
    let deadline = Instant::now() + LONGEST;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status.success()),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(PAUSE),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!(
                    "{name} did not end within {LONGEST:?}; does a module loop when it is imported?"
                ));
            }
            Err(error) => return Err(format!("{name}: {error}")),
        }
    }
}
