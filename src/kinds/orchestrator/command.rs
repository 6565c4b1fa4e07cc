//! Which subcommand of the CLI runs. PURE.
//!
//! Version 0.167.0 renamed `channels-manager` to `daemon` and kept no alias, so the wrong word ends the container at once.
//! The rule: the annotation decides where there is one, else the image's tag where it is a version, else it is
//! `channels-manager`.

use crate::{children::metadata::Pairs, kinds::InvalidSpec};

/// Annotation on an Orchestrator that names the subcommand.
pub const ANNOTATION: &str = "inference-gateway.com/cli-command";

/// First version that has `daemon`.
const RENAMED: [u64; 3] = [0, 167, 0];

/// A subcommand of the CLI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Up to 0.166.
    ChannelsManager,
    /// From 0.167.0 on.
    Daemon,
}

impl Command {
    /// As the CLI wants it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ChannelsManager => "channels-manager",
            Self::Daemon => "daemon",
        }
    }
}

/// The subcommand that the annotation or the image's version decides on; `None` when neither does.
///
/// # Errors
/// When the annotation has another value than the two subcommands.
pub fn decided(annotations: &Pairs, image: &str) -> Result<Option<Command>, InvalidSpec> {
    let Some(value) = annotations.get(ANNOTATION) else { return Ok(of_image(image)) };
    let known = [Command::ChannelsManager, Command::Daemon].into_iter().find(|command| command.as_str() == value);
    known.map(Some).ok_or_else(|| InvalidSpec {
        field: "metadata.annotations".into(),
        message: format!("{ANNOTATION} is {value:?}, not channels-manager or daemon"),
    })
}

fn of_image(image: &str) -> Option<Command> {
    let (version, preview) = version(tag(image)?)?;
    // By the order of versions a preview of 0.167.0 stands before it.
    let renamed = version > RENAMED || (version == RENAMED && !preview);
    Some(if renamed { Command::Daemon } else { Command::ChannelsManager })
}

/// The tag of an image: what follows the colon of its last part, a digest aside.
fn tag(image: &str) -> Option<&str> {
    let name = image.split('@').next()?.rsplit('/').next()?;
    name.split_once(':').map(|(_, tag)| tag)
}

/// A semantic version, and whether it is a preview. A tag has no room for build metadata.
fn version(tag: &str) -> Option<([u64; 3], bool)> {
    let text = tag.strip_prefix('v').unwrap_or(tag);
    let (core, preview) = text.split_once('-').map_or((text, None), |(core, preview)| (core, Some(preview)));
    let mut numbers = core.split('.').map(number);
    let version = [numbers.next()??, numbers.next()??, numbers.next()??];
    (numbers.next().is_none() && preview != Some("")).then_some((version, preview.is_some()))
}

fn number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::{ANNOTATION, Command, decided, of_image};
    use crate::children::metadata::Pairs;

    #[test]
    fn a_version_decides() {
        for image in [
            "ghcr.io/inference-gateway/cli:0.167.0",
            "ghcr.io/inference-gateway/cli:v0.167.0",
            "ghcr.io/inference-gateway/cli:v0.179.0@sha256:0123",
            "registry:5000/cli:1.0.0",
            "cli:0.168.0-rc.1",
        ] {
            assert_eq!(of_image(image), Some(Command::Daemon), "{image}");
        }
        for image in [
            "ghcr.io/inference-gateway/cli:v0.106.2",
            "registry:5000/a/cli:0.166.99",
            "cli:0.9.200",
            "cli:0.167.0-rc.1",
        ] {
            assert_eq!(of_image(image), Some(Command::ChannelsManager), "{image}");
        }
    }

    #[test]
    fn what_is_no_version_decides_nothing() {
        for image in [
            "ghcr.io/inference-gateway/cli:latest",
            "ghcr.io/inference-gateway/cli",
            "registry:5000/cli",
            "registry:5000/cli@sha256:0123",
            "cli:v0.167",
            "cli:0.167.0.1",
            "cli:0.167.0-",
            "cli:2026.08.12",
            "cli:+0.167.0",
            "cli:0..0",
            "cli:99999999999999999999.0.0",
            "cli:",
            "",
        ] {
            assert_eq!(of_image(image), None, "{image}");
        }
    }

    #[test]
    fn the_annotation_comes_first() {
        let annotated = |value: &str| Pairs::from([(ANNOTATION.into(), value.into())]);
        assert_eq!(decided(&annotated("daemon"), "cli:latest"), Ok(Some(Command::Daemon)));
        assert_eq!(decided(&annotated("channels-manager"), "cli:1.0.0"), Ok(Some(Command::ChannelsManager)));
        assert_eq!(decided(&Pairs::new(), "cli:1.0.0"), Ok(Some(Command::Daemon)));
        assert_eq!(decided(&Pairs::new(), "cli:latest"), Ok(None));
        for value in ["", "Daemon", "headless"] {
            let error = decided(&annotated(value), "cli:1.0.0").expect_err(value);
            assert_eq!(error.field, "metadata.annotations");
            assert!(error.message.contains(ANNOTATION), "{error}");
        }
    }
}
