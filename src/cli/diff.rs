//! `igw diff`: what applying custom resources would change, asked of the server by dry-run, or of files.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use kube::{Api, Client, api::ListParams};
use serde_json::Value;

use super::{
    Error, connect, manifest,
    render::{Given, Known, given},
};
use crate::{
    args::Diff,
    cluster::{Apply, Cluster as _, kube::KubeCluster},
    config_maps,
    directory::{Directory, Entry},
    kinds::{self, Parent, ParentInfo, References, Visitor},
    object::{
        ChildKind, FIELD_MANAGER, MANAGED_BY, MANAGED_BY_LABEL, ObjectId,
        compare::compare,
        live::{Live, Watched, Wire},
        object_at,
    },
    parent::ParentObject,
    reconcile::diff::{Accepted, Action, Blocked, Change, Field, Plan, View, diff as plan},
    reconcile::seal::Sealed,
};

/// Live objects that were read once.
#[derive(Debug, Default)]
struct Snapshot {
    objects: HashMap<ObjectId, Arc<Live>>,
    uid: String,
    /// Kinds that the server is without.
    missing: BTreeSet<ChildKind>,
}

impl View for Snapshot {
    fn live(&self, id: &ObjectId) -> Option<Arc<Live>> {
        self.objects.get(id).cloned()
    }
    fn owned(&self) -> Vec<(ObjectId, Arc<Live>)> {
        let ours = |live: &Live| live.controller.as_ref().is_some_and(|controller| *controller.uid == *self.uid);
        self.objects.iter().filter(|(_, live)| ours(live)).map(|(id, live)| (id.clone(), Arc::clone(live))).collect()
    }
    fn withheld(&self, kind: ChildKind) -> Option<Blocked> {
        self.missing.contains(&kind).then_some(Blocked::Missing(kind))
    }
}

/// The report, and whether anything differs.
pub(super) async fn diff(args: &Diff) -> Result<(String, bool), Error> {
    let documents = manifest::read(&args.files)?;
    let mut text = String::new();
    let mut differs = false;
    let client = if args.offline { None } else { Some(connect(&args.connection).await?) };
    let live_files = manifest::read(&args.live)?;
    let all = [live_files.as_slice(), documents.as_slice()].concat();
    for mut document in documents {
        // What is in the files is about to be applied, so it comes before what the server has.
        let mut known = Known::in_documents(&all, &args.namespace);
        // First to know whose document it is and what it looks for; then with what the server has.
        let Some(first) = given(&mut document, &args.namespace, &known)? else { continue };
        let mut snapshot = Snapshot::default();
        let stored = match &client {
            Some(client) => {
                known.config_maps.extend(server_maps(client, &first.identity.namespace).await?);
                server_listings(client, &first.references, &known.directory, &all, &args.namespace).await?;
                stored(client, &first).await?
            }
            None => live_files.iter().find(|live| is_same(live, &document)).cloned(),
        };
        if let Some(stored) = &stored {
            document["metadata"]["uid"] = stored["metadata"]["uid"].clone();
        }
        let Some(given) = given(&mut document, &args.namespace, &known)? else { continue };
        snapshot.uid.clone_from(&given.identity.uid);
        match &client {
            Some(client) => server_objects(client, &given, &mut snapshot).await?,
            None => file_objects(&live_files, &mut snapshot),
        }
        let id = given.object.id(&given.info);
        let mut plan = plan(&id, &given.identity.uid, &given.sealed, &snapshot, &Accepted::default());
        text.push_str(&format!("{id}\n"));
        text.push_str(&policies(&plan));
        if let Some(client) = &client {
            ask_server(&KubeCluster::new(client.clone()), &given, &mut plan, &mut text).await;
        }
        differs |= !plan.is_empty();
        text.push_str(&plan.show(args.show_values));
    }
    Ok((text, differs))
}

/// That policies do not run here, where some have changed what is there.
fn policies(plan: &Plan) -> String {
    let marks = plan.changes.iter().filter_map(|change| change.live.as_ref()?.policies.as_deref());
    let names: BTreeSet<&str> = marks.flat_map(|mark| mark.split(',')).collect();
    if names.is_empty() {
        return String::new();
    }
    let names = names.into_iter().collect::<Vec<_>>().join(", ");
    format!("! no policy runs here, so what these have changed is shown as if it went: {names}\n")
}

/// Replaces what our own comparison says of each object by what the server says it would do.
async fn ask_server(cluster: &KubeCluster, given: &Given, plan: &mut Plan, text: &mut String) {
    for (change, wanted) in plan.changes.iter_mut().zip(&given.sealed) {
        let mut body = wanted.body.clone();
        let metadata = object_at(&mut body, &["metadata"]);
        match (&change.action, &change.live) {
            (Action::Create, _) => metadata.insert("resourceVersion".into(), "1".into()),
            (Action::Update(_), Some(live)) => metadata.insert("uid".into(), (*live.uid).into()),
            _ => continue,
        };
        if given.identity.uid.is_empty() {
            // The custom resource is not there yet; an owner without uid would be refused.
            metadata.remove("ownerReferences");
        }
        hand_over(wanted, change, &mut body);
        let apply = Apply { id: &wanted.id, body: &body, manager: FIELD_MANAGER, force: true, dry_run: true };
        match cluster.apply(apply).await {
            Ok(after) => {
                if let Some(live) = &change.live {
                    change.fields = exact(change, live, &after);
                    if change.fields.is_empty() {
                        change.action = Action::Unchanged;
                    }
                }
            }
            Err(refusal) => text.push_str(&format!("! {} would be refused: {refusal}\n", wanted.id)),
        }
    }
}

/// The operator hands a running number of replicas over before it stops sending it; the dry-run of one apply cannot.
fn hand_over(wanted: &Sealed, change: &Change, body: &mut Value) {
    let given_up = wanted.shared_fields.contains(&"/spec/replicas") && wanted.body["spec"].get("replicas").is_none();
    if let Some(live) = change.live.as_ref().filter(|live| given_up && live.owns_replicas)
        && let Some(rollout) = &live.rollout
    {
        object_at(body, &["spec"]).insert("replicas".into(), rollout.wanted.into());
    }
}

/// Every field that differs between the object as it is and as it would be.
fn exact(change: &Change, live: &Live, after: &Live) -> Vec<Field> {
    let (before, after) = (live.document(), after.document());
    let changed = compare(&after, &before);
    let dropped = compare(&before, &after).into_iter().filter(|gone| gone.old.is_none()).map(|mut gone| {
        std::mem::swap(&mut gone.old, &mut gone.new);
        gone
    });
    let opponent = |path: &str| {
        let known = change.fields.iter().find(|field| field.change.path.to_string() == path);
        known.and_then(|field| field.opponent.clone())
    };
    changed
        .into_iter()
        .chain(dropped)
        .map(|change| Field { opponent: opponent(&change.path.to_string()), change })
        .collect()
}

fn is_same(live: &Value, document: &Value) -> bool {
    let same = |pointer| live.pointer(pointer) == document.pointer(pointer);
    ["/apiVersion", "/kind", "/metadata/name", "/metadata/namespace"].into_iter().all(same)
}

async fn stored(client: &Client, given: &Given) -> Result<Option<Value>, Error> {
    let api: Api<ParentObject> = Api::namespaced_with(client.clone(), &given.identity.namespace, &given.info);
    let ParentInfo { kind, .. } = given.info;
    let found = api.get_opt(&given.identity.name).await.map_err(|error| {
        format!("failed to read {kind} {}: {error}; check --kubeconfig and your rights", given.identity.name)
    })?;
    Ok(found.map(|object| serde_json::json!({"metadata": {"uid": object.metadata.uid}})))
}

/// Takes in the custom resources that are looked for; those that are known, because they are in the files, with the status
/// that they have: an Agent is found by the card in it.
async fn server_listings(
    client: &Client,
    references: &References,
    directory: &Directory,
    files: &[Value],
    namespace: &str,
) -> Result<(), Error> {
    /// What others find of a custom resource.
    type Find = fn(&ParentObject) -> Option<Entry>;
    struct Listed(Vec<(ParentInfo, Find)>);
    impl Visitor for Listed {
        fn visit<P: Parent>(&mut self) {
            self.0.push((P::INFO, |object| Entry::of::<P>(object).ok().flatten()));
        }
    }
    let mut kinds = Listed(Vec::new());
    kinds::for_each(&mut kinds);
    for (info, entry) in kinds.0 {
        let Some(discovery) = references.discoveries.get(info.kind) else { continue };
        let api: Api<ParentObject> = Api::namespaced_with(client.clone(), &discovery.namespace, &info);
        let list = api.list(&ListParams::default()).await.map_err(|error| {
            format!("failed to list {} in {}: {error}; check your rights", info.plural, discovery.namespace)
        })?;
        for object in &list.items {
            let id = object.id(&info);
            if !directory.knows(&id) {
                directory.saw(&id, entry(object));
            } else if let Some(file) = files.iter().rfind(|file| {
                file["kind"] == info.kind
                    && file["apiVersion"] == format!("{}/{}", info.group, info.version)
                    && file["metadata"]["name"] == *id.name
                    && file["metadata"]["namespace"].as_str().unwrap_or(namespace) == &*id.namespace
            }) {
                let mut file = file.clone();
                file["metadata"]["namespace"] = (*id.namespace).into();
                file["status"] = object.status();
                directory.saw(&id, entry(&ParentObject::from_manifest(&file)?));
            }
        }
    }
    Ok(())
}

async fn server_maps(client: &Client, namespace: &str) -> Result<BTreeMap<(String, String), String>, Error> {
    let api: Api<config_maps::Watched> = Api::namespaced(client.clone(), namespace);
    let list = api.list(&ListParams::default()).await?;
    let name = |map: &config_maps::Watched| kube::ResourceExt::name_any(map);
    Ok(list.items.iter().map(|map| ((namespace.to_owned(), name(map)), map.digest())).collect())
}

/// The kinds that are looked at: no policy runs here, so what only policies add would seem to be unwanted.
fn compared() -> impl Iterator<Item = ChildKind> {
    ChildKind::ALL.into_iter().filter(|kind| !kind.added_only())
}

async fn server_objects(client: &Client, given: &Given, snapshot: &mut Snapshot) -> Result<(), Error> {
    let namespace = &given.identity.namespace;
    for kind in compared() {
        let api: Api<Watched> = Api::namespaced_with(client.clone(), namespace, &kind.info());
        let labelled = ListParams::default().labels(&format!("{MANAGED_BY_LABEL}={MANAGED_BY}"));
        let list = match api.list(&labelled).await {
            Err(kube::Error::Api(status)) if kind.optional() && status.code == 404 => {
                snapshot.missing.insert(kind);
                continue;
            }
            list => list.map_err(|error| format!("failed to list {kind}: {error}; check your rights"))?,
        };
        for Watched(wire) in &list.items {
            keep(kind, wire, snapshot);
        }
    }
    // Objects of the wanted names without our label are somebody else's, or have lost it.
    for wanted in &given.sealed {
        if !snapshot.objects.contains_key(&wanted.id)
            && !snapshot.missing.contains(&wanted.id.kind)
            && let Some(live) = KubeCluster::new(client.clone()).get(&wanted.id).await?
        {
            snapshot.objects.insert(wanted.id.clone(), Arc::new(live));
        }
    }
    Ok(())
}

fn file_objects(files: &[Value], snapshot: &mut Snapshot) {
    for file in files {
        let kind =
            compared().find(|kind| file["kind"] == kind.info().kind && file["apiVersion"] == kind.info().api_version());
        let wire = serde_json::from_str::<Wire>(&file.to_string());
        if let (Some(kind), Ok(wire)) = (kind, wire) {
            keep(kind, &wire, snapshot);
        }
    }
}

fn keep(kind: ChildKind, wire: &Wire, snapshot: &mut Snapshot) {
    let (namespace, name) = wire.key();
    snapshot.objects.insert(ObjectId::new(kind, namespace, name), Arc::new(Live::new(kind, wire)));
}
