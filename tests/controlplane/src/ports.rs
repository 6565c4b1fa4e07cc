//! Free ports on the loopback address.

use std::{
    hash::{BuildHasher, RandomState},
    net::{Ipv4Addr, TcpListener},
};

use anyhow::{Result, bail};

/// Below the range from which the usual systems take ports for outgoing connections, so that the API server gets its port
/// again when it is restarted, and far from the well-known ones.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// A free port on 127.0.0.1, for a program that has to be told its port.
///
/// Whoever uses it should do so soon: until then somebody else may.
pub fn free_port() -> Result<u16> {
    let [port] = free()?;
    Ok(port)
}

/// As many free ports as asked for, all different.
pub(crate) fn free<const N: usize>() -> Result<[u16; N]> {
    // Held until all are found, so that none is found twice.
    let mut held = Vec::with_capacity(N);
    let random = RandomState::new();
    for attempt in 0..1000_u32 {
        let offset = random.hash_one(attempt) % u64::from(RANGE.end - RANGE.start);
        let port = RANGE.start + u16::try_from(offset)?;
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            held.push((port, listener));
        }
        if held.len() == N {
            return Ok(std::array::from_fn(|index| held[index].0));
        }
    }
    bail!("no free port on 127.0.0.1 between {} and {}: end what uses them", RANGE.start, RANGE.end)
}
