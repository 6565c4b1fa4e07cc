//! Asks agents for their cards over HTTP. I/O.
//!
//! An agent may be slow, huge, broken or hostile: an answer is bounded in time and size, redirects are not followed, and
//! nobody waits for it. Every agent is asked by a task of its own.

use std::{collections::HashMap, str::FromStr, sync::Arc, time::Duration};

use reqwest::{
    Client, StatusCode, Url,
    header::{ETAG, HOST, HeaderMap, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED},
    redirect::Policy,
};
use tokio::{
    sync::{Semaphore, mpsc},
    task::{AbortHandle, JoinSet},
};

use super::{Answer, Cards, Failure, Job, Validators};
use crate::{
    kinds::{CardSource, agent::card},
    object::ParentId,
};

/// Longest wait for a whole answer.
pub const TIMEOUT: Duration = Duration::from_secs(5);
/// Largest answer, in bytes.
pub const LARGEST: usize = 256 * 1024;
/// Questions under way at a time.
const AT_A_TIME: usize = 64;
/// Where agents serve their card: the A2A protocol from 0.3.0 on, and before.
const PATHS: [&str; 2] = ["/.well-known/agent-card.json", "/.well-known/agent.json"];

/// How agents are reached.
#[derive(Debug, Clone)]
pub struct Options {
    /// Detours, the first that fits is taken.
    pub connect_to: Vec<ConnectTo>,
    /// Certificates that agents' certificates must be signed by, in PEM form. Without any, certificates are not verified, as
    /// a kubelet's probe does not.
    pub authorities: Option<Vec<u8>>,
    /// How often a card is asked for when all is well.
    pub refresh: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { connect_to: Vec::new(), authorities: None, refresh: Duration::from_secs(30) }
    }
}

/// A detour, in the form of curl's `--connect-to`: requests to host and port go to another address, and still say where
/// they were meant to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectTo {
    host: Option<String>,
    port: Option<u16>,
    to_host: String,
    to_port: u16,
}

impl FromStr for ConnectTo {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad =
            || format!("{text:?} is no detour: write HOST1:PORT1:HOST2:PORT2, with HOST1 and PORT1 empty for any");
        let mut parts = text.splitn(3, ':');
        let (Some(host), Some(port), Some(to)) = (parts.next(), parts.next(), parts.next()) else { return Err(bad()) };
        // The rest may be an IPv6 address in brackets.
        let (to_host, to_port) = to.rsplit_once(':').filter(|(host, _)| !host.is_empty()).ok_or_else(bad)?;
        let number = |text: &str| text.parse::<u16>().map_err(|_| bad());
        Ok(Self {
            host: (!host.is_empty()).then(|| host.to_owned()),
            port: if port.is_empty() { None } else { Some(number(port)?) },
            to_host: to_host.to_owned(),
            to_port: number(to_port)?,
        })
    }
}

impl ConnectTo {
    fn fits(&self, url: &Url) -> bool {
        self.host.as_deref().is_none_or(|host| url.host_str() == Some(host))
            && self.port.is_none_or(|port| url.port_or_known_default() == Some(port))
    }
}

/// Cannot ask agents for their cards.
#[derive(Debug, thiserror::Error)]
#[error("failed to set up the client that asks agents for their cards: {0}")]
pub struct BadOptions(String);

/// Asks for cards.
#[derive(Debug, Clone)]
pub struct Fetcher {
    client: Client,
    connect_to: Arc<[ConnectTo]>,
}

impl Fetcher {
    /// Sets the client up.
    ///
    /// # Errors
    /// When the certificates cannot be read.
    pub fn new(options: &Options) -> Result<Self, BadOptions> {
        let bad = |error: reqwest::Error| BadOptions(error.to_string());
        // Somebody may have chosen already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = Client::builder()
            .redirect(Policy::none())
            .timeout(TIMEOUT)
            .pool_max_idle_per_host(0)
            // A proxy outside the cluster knows no Services.
            .no_proxy()
            .user_agent(concat!("igw/", env!("CARGO_PKG_VERSION")));
        let builder = match &options.authorities {
            Some(pem) => builder.tls_certs_only(reqwest::Certificate::from_pem_bundle(pem).map_err(bad)?),
            None => builder.tls_danger_accept_invalid_certs(true),
        };
        Ok(Self { client: builder.build().map_err(bad)?, connect_to: options.connect_to.clone().into() })
    }

    /// Does the jobs of the queue. `wake` is called when something new is known of a card.
    pub async fn run(
        self,
        cards: Arc<Cards>,
        mut jobs: mpsc::UnboundedReceiver<Job>,
        wake: impl Fn(&ParentId) + Clone + Send + Sync + 'static,
    ) {
        let limit = Arc::new(Semaphore::new(AT_A_TIME));
        let mut tasks = JoinSet::new();
        let mut followed: HashMap<ParentId, AbortHandle> = HashMap::new();
        while let Some(job) = jobs.recv().await {
            // Those that were stopped; an own end is not among them.
            while tasks.try_join_next().is_some() {}
            match job {
                Job::Follow(id, source) => {
                    let task =
                        follow(self.clone(), Arc::clone(&cards), Arc::clone(&limit), id.clone(), source, wake.clone());
                    followed.insert(id, tasks.spawn(task));
                }
                Job::Leave(id) => {
                    if let Some(task) = followed.remove(&id) {
                        task.abort();
                    }
                }
            }
        }
    }

    /// Asks once, at the paths in their order until one has something to say. The path that had is asked first next time.
    async fn ask(&self, source: &CardSource, path: &mut usize, validators: &Validators) -> Answer {
        for turn in 0..PATHS.len() {
            let here = (*path + turn) % PATHS.len();
            let validators = if turn == 0 { validators.clone() } else { Validators::default() };
            match self.get(&format!("{}{}", source.base, PATHS[here]), &validators).await {
                Answer::Failed(Failure::Status(404 | 405 | 410)) if turn + 1 < PATHS.len() => {}
                Answer::Failed(failure) => return Answer::Failed(failure),
                answer => {
                    *path = here;
                    return answer;
                }
            }
        }
        Answer::Failed(Failure::Status(StatusCode::NOT_FOUND.as_u16()))
    }

    async fn get(&self, url: &str, validators: &Validators) -> Answer {
        match self.try_get(url, validators).await {
            Ok(answer) => answer,
            Err(error) if error.is_timeout() => Answer::Failed(Failure::Timeout),
            Err(_) => Answer::Failed(Failure::Unreachable),
        }
    }

    async fn try_get(&self, url: &str, validators: &Validators) -> Result<Answer, reqwest::Error> {
        let Ok(mut url) = Url::parse(url) else { return Ok(Answer::Failed(Failure::Unreachable)) };
        let authority = url.authority().to_owned();
        let mut detour = false;
        if let Some(to) = self.connect_to.iter().find(|detour| detour.fits(&url)) {
            detour = url.set_host(Some(&to.to_host)).is_ok() && url.set_port(Some(to.to_port)).is_ok();
        }
        let mut request = self.client.get(url);
        if detour {
            request = request.header(HOST, authority);
        }
        for (name, value) in [(IF_NONE_MATCH, &validators.etag), (IF_MODIFIED_SINCE, &validators.last_modified)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        let mut answer = request.send().await?;
        let status = answer.status();
        // Whoever was not asked for a change has nothing to refer to.
        if status == StatusCode::NOT_MODIFIED && *validators != Validators::default() {
            return Ok(Answer::NotModified);
        }
        if status.is_redirection() && status != StatusCode::NOT_MODIFIED {
            return Ok(Answer::Failed(Failure::Redirected));
        }
        if !status.is_success() {
            return Ok(Answer::Failed(Failure::Status(status.as_u16())));
        }
        let validators = validators_of(answer.headers());
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            if body.len() + chunk.len() > LARGEST {
                return Ok(Answer::Failed(Failure::TooLarge));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(match card::read(&body) {
            Ok(card) => Answer::Card(card, validators),
            Err(why) => Answer::Failed(Failure::NotACard(why)),
        })
    }
}

fn validators_of(headers: &HeaderMap) -> Validators {
    // What is sent back with every question must not be long.
    let text = |name: HeaderName| headers.get(name)?.to_str().ok().filter(|text| text.len() <= 256).map(str::to_owned);
    Validators { etag: text(ETAG), last_modified: text(LAST_MODIFIED) }
}

/// Asks one agent for ever.
async fn follow(
    fetcher: Fetcher,
    cards: Arc<Cards>,
    limit: Arc<Semaphore>,
    id: ParentId,
    source: CardSource,
    wake: impl Fn(&ParentId),
) {
    let mut path = 0;
    let mut round: u32 = 0;
    loop {
        let answer = {
            // Never closed.
            let _permit = limit.acquire().await;
            fetcher.ask(&source, &mut path, &cards.validators(&id)).await
        };
        let (news, wait) = cards.answered(&id, &source, answer);
        if news {
            wake(&id);
        }
        round = round.wrapping_add(1);
        tokio::time::sleep(wait + jitter(&id, round, wait)).await;
    }
}

/// Up to a tenth more, another each time and for each agent, so that many do not come back in one moment.
fn jitter(id: &ParentId, round: u32, wait: Duration) -> Duration {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    (id, round).hash(&mut hasher);
    let thousandths = u32::try_from(hasher.finish() % 100).unwrap_or_default();
    wait * thousandths / 1000
}

#[cfg(test)]
mod tests {
    use reqwest::Url;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::{Answer, CardSource, ConnectTo, Failure, Fetcher, Options, Validators};

    #[tokio::test]
    async fn nothing_can_be_unchanged_before_there_is_a_card() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let source = CardSource { base: format!("http://{}", listener.local_addr().expect("an address")) };
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(b"HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n").await;
            }
        });
        let fetcher = Fetcher::new(&Options::default()).expect("a client");
        let first = fetcher.ask(&source, &mut 0, &Validators::default()).await;
        assert_eq!(first, Answer::Failed(Failure::Status(304)));
        let known = Validators { etag: Some("x".into()), last_modified: None };
        assert_eq!(fetcher.ask(&source, &mut 0, &known).await, Answer::NotModified);
    }

    #[test]
    fn detours_read_as_curl_reads_them() {
        let fits = |detour: &str, url: &str| {
            let detour: ConnectTo = detour.parse().unwrap_or_else(|error| panic!("{error}"));
            detour.fits(&Url::parse(url).expect("a URL"))
        };
        assert!(fits("::127.0.0.1:80", "http://a.b:8080/x"));
        assert!(fits("a.b:8080:[::1]:80", "http://a.b:8080/x"));
        assert!(!fits("a.b:8081:127.0.0.1:80", "http://a.b:8080/x"));
        assert!(!fits("c::127.0.0.1:80", "http://a.b:8080/x"));
        for bad in ["", "a:1", "::x", ":::1", "a:b:c:1", "::c:99999"] {
            assert!(bad.parse::<ConnectTo>().is_err(), "{bad}");
        }
    }
}
