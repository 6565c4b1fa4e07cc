//! Sends Events.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tokio::sync::mpsc;

use crate::{kinds::ParentInfo, object::MANAGED_BY, parent::ParentObject, reconcile::outcome::Notice};

/// Sends Events one after the other: they are for people, and never in the way of work.
pub(super) async fn send(client: Client, mut notices: mpsc::Receiver<(ParentObject, ParentInfo, Notice)>) {
    let recorder = Recorder::new(client, Reporter { controller: MANAGED_BY.into(), instance: None });
    while let Some((object, info, notice)) = notices.recv().await {
        let mut note = notice.message;
        note.truncate(note.floor_char_boundary(1000));
        let event = Event {
            type_: if notice.warning { EventType::Warning } else { EventType::Normal },
            reason: notice.reason.into(),
            note: Some(note),
            action: "Reconcile".into(),
            // The library counts Events that differ in nothing but their note as one; the fields tell them apart.
            secondary: notice.about.map(|(id, fields)| ObjectReference {
                api_version: Some(id.kind.info().api_version()),
                kind: Some(id.kind.info().kind.into()),
                namespace: Some((*id.namespace).into()),
                name: Some((*id.name).into()),
                field_path: (!fields.is_empty()).then_some(fields),
                ..Default::default()
            }),
        };
        if let Err(error) = recorder.publish(&event, &object.reference(&info)).await {
            tracing::warn!(parent = %object.id(&info), %error, "failed to send an Event");
        }
    }
}
