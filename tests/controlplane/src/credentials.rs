//! Who may talk to the API server and how: its own CA and certificate, a token for every user, a kubeconfig file for each.

use std::{
    fs,
    hash::{BuildHasher, RandomState},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

/// The users that a person or a test can act as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum User {
    /// May do everything.
    Admin,
    /// The operator under test. Has no rights until the test or the demo binds a role to the user `operator`.
    Operator,
    /// Has no rights and never gets any.
    Nobody,
}

impl User {
    const ALL: [Self; 3] = [Self::Admin, Self::Operator, Self::Nobody];

    /// The user name that the API server sees, as RBAC and the audit log spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Operator => "operator",
            Self::Nobody => "nobody",
        }
    }
}

/// The parts of the control plane that talk to its API server, and the group each is in.
///
/// The controller manager is in `system:masters`: with one identity for all its controllers no smaller role would do.
pub(crate) const COMPONENTS: [(&str, &str); 3] = [
    ("system:kube-controller-manager", "system:masters"),
    ("system:kube-scheduler", "controlplane:components"),
    ("system:kwok", "system:masters"),
];

/// The files that the API server and its clients need, in the instance's folder.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    folder: PathBuf,
    server: String,
}

impl Credentials {
    /// Makes everything new for the API server at `https://127.0.0.1:<port>`.
    pub(crate) fn create(folder: &Path, port: u16) -> Result<Self> {
        let this = Self { folder: folder.join("credentials"), server: format!("https://127.0.0.1:{port}") };
        fs::create_dir_all(&this.folder).context("cannot create the folder for credentials")?;

        let now = SystemTime::now();
        let validity = |params: &mut CertificateParams| {
            // An hour back, so that a clock that is set right meanwhile does no harm.
            params.not_before = (now - Duration::from_secs(3600)).into();
            params.not_after = (now + Duration::from_secs(365 * 24 * 3600)).into();
        };
        let mut ca = CertificateParams::default();
        validity(&mut ca);
        ca.distinguished_name.push(DnType::CommonName, "controlplane-ca");
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate()?).context("cannot make the CA")?;
        let key = KeyPair::generate()?;
        let names = ["127.0.0.1", "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"];
        let mut server = CertificateParams::new(names.map(str::to_owned).to_vec())?;
        validity(&mut server);
        server.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        server.use_authority_key_identifier_extension = true;
        let certificate = server.signed_by(&key, &ca).context("cannot make the API server's certificate")?;
        let tokens_key = KeyPair::generate()?;

        this.write("ca.crt", &ca.pem())?;
        this.write("server.crt", &certificate.pem())?;
        this.write("server.key", &key.serialize_pem())?;
        this.write("service-accounts.key", &tokens_key.serialize_pem())?;
        this.write("service-accounts.pub", &tokens_key.public_key_pem())?;
        this.write_users()?;
        Ok(this)
    }

    fn write_users(&self) -> Result<()> {
        let mut table = String::new();
        let people = User::ALL
            .map(|user| (user.name(), if user == User::Admin { "system:masters" } else { "controlplane:users" }));
        for (name, group) in people.into_iter().chain(COMPONENTS) {
            let token = random();
            table.push_str(&format!("{token},{name},{name},{group}\n"));
            self.kubeconfig_for_token(name, &token)?;
        }
        self.write("tokens.csv", &table).map(drop)
    }

    /// Writes a kubeconfig file that uses `token`; `name` names the file and the user in it.
    pub(crate) fn kubeconfig_for_token(&self, name: &str, token: &str) -> Result<PathBuf> {
        // JSON strings are YAML strings, whatever is in them.
        let quote = |text: &str| serde_json::Value::from(text).to_string();
        let (user, token, server) = (quote(name), quote(token), quote(&self.server));
        let authority = quote(&self.file("ca.crt").to_string_lossy());
        let text = format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: controlplane\n  cluster:\n    server: {server}\n    certificate-authority: {authority}\n\
             users:\n- name: {user}\n  user:\n    token: {token}\n\
             contexts:\n- name: {user}\n  context:\n    cluster: controlplane\n    user: {user}\n    namespace: default\ncurrent-context: {user}\n"
        );
        self.write(&kubeconfig_name(name), &text)
    }

    /// The kubeconfig file of a user or component.
    pub(crate) fn kubeconfig(&self, name: &str) -> PathBuf {
        self.file(&kubeconfig_name(name))
    }

    /// One of the files by its name.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Where the API server is.
    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.file(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

fn kubeconfig_name(user: &str) -> String {
    format!("{}.kubeconfig", user.replace([':', '/'], "-"))
}

/// A token nobody guesses. The standard library seeds this hasher from the system's random source; the whole folder is
/// readable by its owner alone and lives as long as the instance.
fn random() -> String {
    (0u8..4).map(|part| format!("{:016x}", RandomState::new().hash_one(part))).collect()
}
