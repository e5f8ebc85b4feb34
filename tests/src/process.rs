//! Processes that end with the one that started them, however that ends: tests share some in a `static`, which nobody drops. And the
//! ports for them.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, ExitStatus, Stdio};

use rand::Rng as _;

/// A child, killed with the value, or with this process.
pub struct Process {
    leash: Child,
    child: Child,
}

impl Process {
    /// Takes a child on the leash: a shell that reads from a pipe, to which only this process holds the other end.
    pub fn leashed(mut child: Child) -> io::Result<Self> {
        let leash = Command::new("sh")
            .args(["-c", r#"read -r never; kill -KILL "$1""#, "leash", &child.id().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match leash {
            Ok(leash) => Ok(Self { leash, child }),
            Err(e) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(e)
            }
        }
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The leash first: it may only ever kill a process that is still there.
        for child in [&mut self.leash, &mut self.child] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A port that nobody listens on, below those that the system hands out by itself: a server that is restarted has to get it again.
pub fn free_port() -> Result<u16, String> {
    for _ in 0..100 {
        let port = rand::thread_rng().gen_range(18_000..30_000);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err("no port is free".to_owned())
}
