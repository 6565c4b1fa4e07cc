//! Requests and limits of a container: what the user gave, defaults that fit it, and no pair the API server would
//! refuse. PURE.

use std::{cmp::Ordering, collections::BTreeMap};

use k8s_openapi::{api::core::v1::ResourceRequirements, apimachinery::pkg::api::resource::Quantity};

use crate::object::quantity;

/// Request and limit of one resource, as the user gave them and as they are without.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// `cpu` or `memory`.
    pub name: &'static str,
    /// The given request.
    pub request: Option<&'a Quantity>,
    /// The given limit.
    pub limit: Option<&'a Quantity>,
    /// Request when none is given; lowered to a smaller limit.
    pub default_request: &'a str,
    /// Limit when none is given; raised to a larger request.
    pub default_limit: &'a str,
}

/// A value that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct BadResource {
    /// Where: `requests.cpu`.
    pub field: String,
    /// Why.
    pub message: String,
}

/// The requirements of a container.
///
/// # Errors
/// When a value is not a quantity or a request is above its limit.
pub fn requirements(wishes: &[Wish<'_>]) -> Result<ResourceRequirements, BadResource> {
    let mut requests = BTreeMap::new();
    let mut limits = BTreeMap::new();
    for wish in wishes {
        let (request, limit) = pair(wish)?;
        requests.insert(wish.name.to_owned(), request);
        limits.insert(wish.name.to_owned(), limit);
    }
    Ok(ResourceRequirements { requests: Some(requests), limits: Some(limits), claims: None })
}

fn pair(wish: &Wish<'_>) -> Result<(Quantity, Quantity), BadResource> {
    let request = checked(wish, "requests", wish.request, wish.default_request)?;
    let limit = checked(wish, "limits", wish.limit, wish.default_limit)?;
    // No order means numbers that no server takes; it says so itself.
    let above = request.1.partial_cmp(&limit.1) == Some(Ordering::Greater);
    match (above, wish.request, wish.limit) {
        (false, ..) => Ok((request.0, limit.0)),
        (true, None, _) => Ok((limit.0.clone(), limit.0)),
        (true, Some(_), None) => Ok((request.0.clone(), request.0)),
        (true, Some(_), Some(_)) => Err(BadResource {
            field: format!("requests.{}", wish.name),
            message: format!("{} is above the limit of {}", request.0.0, limit.0.0),
        }),
    }
}

fn checked(
    wish: &Wish<'_>,
    side: &str,
    given: Option<&Quantity>,
    default: &str,
) -> Result<(Quantity, quantity::Quantity), BadResource> {
    let text = given.map_or(default, |q| q.0.as_str());
    match quantity::Quantity::parse(text) {
        Some(value) if !text.starts_with('-') => Ok((Quantity(text.to_owned()), value)),
        _ => Err(BadResource {
            field: format!("{side}.{}", wish.name),
            message: format!("{text:?} is not an amount of {}", wish.name),
        }),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

    use super::{Wish, pair};

    fn memory(request: Option<&str>, limit: Option<&str>) -> Result<(String, String), String> {
        let (request, limit) = (request.map(|q| Quantity(q.into())), limit.map(|q| Quantity(q.into())));
        let wish = Wish {
            name: "memory",
            request: request.as_ref(),
            limit: limit.as_ref(),
            default_request: "256Mi",
            default_limit: "1Gi",
        };
        pair(&wish).map(|(r, l)| (r.0, l.0)).map_err(|e| e.to_string())
    }

    #[test]
    fn defaults_fit_what_is_given() {
        let ok = |r: &str, l: &str| Ok((r.to_owned(), l.to_owned()));
        assert_eq!(memory(None, None), ok("256Mi", "1Gi"));
        assert_eq!(memory(None, Some("128Mi")), ok("128Mi", "128Mi"));
        assert_eq!(memory(None, Some("2Gi")), ok("256Mi", "2Gi"));
        assert_eq!(memory(Some("4Gi"), None), ok("4Gi", "4Gi"));
        assert_eq!(memory(Some("64Mi"), Some("0.5Gi")), ok("64Mi", "0.5Gi"));
    }

    #[test]
    fn nonsense_is_named() {
        assert_eq!(memory(Some("lots"), None), Err("requests.memory: \"lots\" is not an amount of memory".into()));
        assert_eq!(memory(None, Some("-1")), Err("limits.memory: \"-1\" is not an amount of memory".into()));
        assert_eq!(memory(Some("2Gi"), Some("1Gi")), Err("requests.memory: 2Gi is above the limit of 1Gi".into()));
    }
}
