//! Has a child compile one module.

use std::{path::Path, process::ExitStatus};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use super::process::{Started, ended, signal, start};
use crate::policy::{
    failure::{Failure, Reason},
    limits,
    roles::Compiled,
};

/// Room for what is around the code in an answer.
const AROUND: usize = 4096;

/// Native code, and the hash of the engine it is for.
pub(super) async fn compile(program: &Path, component: &[u8]) -> Result<(u64, Vec<u8>), Failure> {
    let Started { mut child, mut stdin, mut stdout } = start(program, "policy-compile")?;
    let most = limits::CODE + AROUND;
    let mut answer = Vec::new();
    let work = async {
        let write = async {
            // A child that died before it read everything is told by its status.
            let _ = stdin.write_all(component).await;
            drop(stdin);
        };
        let read = async {
            let mut limited = (&mut stdout).take(most as u64 + 1);
            limited.read_to_end(&mut answer).await
        };
        let ((), read) = tokio::join!(write, read);
        if answer.len() > most {
            return Ok(None);
        }
        read?;
        child.wait().await.map(Some)
    };
    let done = timeout(limits::COMPILE_WALL, work).await;
    let over = |words: String| Failure::new(Reason::CompileLimit, words);
    match done {
        Err(_) => Err(over(format!("compiling it takes more than {:?}", limits::COMPILE_WALL))),
        Ok(Err(error)) => {
            Err(Failure::new(Reason::EngineUnavailable, format!("failed to speak to the compiling process: {error}")))
        }
        Ok(Ok(None)) => Err(too_much()),
        Ok(Ok(Some(status))) => match Compiled::read(&answer).filter(|_| status.success()) {
            Some(Compiled::Native { native, .. }) if native.len() > limits::CODE => Err(too_much()),
            Some(Compiled::Native { engine, native }) => Ok((engine, native)),
            Some(Compiled::Failed(failure)) => Err(failure),
            None => Err(died(status)),
        },
    }
}

fn too_much() -> Failure {
    let most = limits::CODE >> 20;
    Failure::new(Reason::CompileLimit, format!("it becomes more than {most} MiB of native code"))
}

fn died(status: ExitStatus) -> Failure {
    match signal(status) {
        // An allocation that its limit refuses aborts the child.
        Some("SIGABRT") => {
            let most = limits::COMPILE_MEMORY >> 20;
            Failure::new(Reason::CompileLimit, format!("compiling it takes more than {most} MiB of memory"))
        }
        Some("SIGXCPU" | "SIGKILL") => {
            let most = limits::COMPILE_CPU;
            Failure::new(Reason::CompileLimit, format!("compiling it takes more than {most} s of processor time"))
        }
        _ => Failure::new(Reason::EngineCrashed, format!("the compiling process ended with {}", ended(status))),
    }
}
