//! Processes that end with the one that started them, however that ends: tests share some in a `static`, which nobody drops.

use std::io;
use std::process::{Child, Command, ExitStatus, Stdio};

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
