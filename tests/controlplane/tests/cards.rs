//! The card server, as an operator meets it: over a plain connection, with the host of an agent.

use anyhow::{Context, Result};
use controlplane::CardServer;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const HOST: &str = "weather.team.svc.cluster.local:8080";

/// Status line, headers and body.
async fn get(server: &CardServer, path: &str, host: &str, more: &str) -> Result<(String, String)> {
    let mut stream = TcpStream::connect(server.address()).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no end of the headers")?;
    Ok((head.to_owned(), body.to_owned()))
}

fn tag(head: &str) -> Result<&str> {
    head.lines().find_map(|line| line.strip_prefix("etag: ")).context("no ETag")
}

#[tokio::test]
async fn every_host_has_a_card_of_its_own() -> Result<()> {
    let server = CardServer::start().await?;
    let (head, body) = get(&server, "/.well-known/agent-card.json", HOST, "").await?;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(head.contains("content-type: application/json"), "{head}");
    let card: Value = serde_json::from_str(&body)?;
    assert_eq!((&card["name"], &card["url"]), (&"weather".into(), &format!("http://{HOST}").into()));

    let (older, same) = get(&server, "/.well-known/agent.json", HOST, "").await?;
    assert_eq!((tag(&older)?, same), (tag(&head)?, body));
    let (other, _) = get(&server, "/.well-known/agent-card.json", "news.team.svc.cluster.local:8080", "").await?;
    assert_ne!(tag(&other)?, tag(&head)?);
    let (nobody, _) = get(&server, "/.well-known/agent-card.json", "", "").await?;
    assert!(nobody.starts_with("HTTP/1.1 400 "), "{nobody}");
    let (nothing, _) = get(&server, "/health", HOST, "").await?;
    assert!(nothing.starts_with("HTTP/1.1 404 "), "{nothing}");
    assert_eq!((server.requests(), server.unchanged()), (4, 0));
    Ok(())
}

#[tokio::test]
async fn a_card_that_is_known_is_not_sent_again() -> Result<()> {
    let server = CardServer::start().await?;
    let (head, _) = get(&server, "/.well-known/agent-card.json", HOST, "").await?;
    let known = format!("If-None-Match: \"old\", {}\r\n", tag(&head)?);
    let (again, body) = get(&server, "/.well-known/agent-card.json", HOST, &known).await?;
    assert!(again.starts_with("HTTP/1.1 304 "), "{again}");
    assert_eq!((tag(&again)?, body.as_str()), (tag(&head)?, ""));
    let (changed, _) = get(&server, "/.well-known/agent-card.json", HOST, "If-None-Match: \"old\"\r\n").await?;
    assert!(changed.starts_with("HTTP/1.1 200 "), "{changed}");
    assert_eq!((server.requests(), server.unchanged()), (3, 1));
    Ok(())
}
