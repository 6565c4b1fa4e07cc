//! The environment of a container: built in order, each name once. PURE.
//!
//! A name given twice is legal for a pod (the last one counts) and an error for server-side apply (names are keys).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource, SecretKeySelector};

/// Variables under construction.
#[derive(Debug, Clone, Default)]
pub struct Variables {
    vars: Vec<EnvVar>,
}

impl Variables {
    /// Adds a variable of the operator. An empty value is the same as none for the programs we run, and is not sent.
    pub fn set(&mut self, name: &str, value: impl ToString) {
        let value = value.to_string();
        if !value.is_empty() {
            self.vars.push(EnvVar { name: name.into(), value: Some(value), value_from: None });
        }
    }

    /// Adds one value under two names: programs renamed their switches from `*_ENABLE` to `*_ENABLED` and ignore names
    /// that they do not know.
    pub fn set_switch(&mut self, stem: &str, on: bool) {
        self.set(&format!("{stem}_ENABLED"), on);
        self.set(&format!("{stem}_ENABLE"), on);
    }

    /// Adds one value under several names: the one that today's programs read, and those that older ones read.
    pub fn set_all(&mut self, names: &[&str], value: impl ToString) {
        let value = value.to_string();
        for name in names {
            self.set(name, &value);
        }
    }

    /// Adds a variable whose value is prose: a `$` in it means a `$` and refers to nothing.
    pub fn set_prose(&mut self, name: &str, text: &str) {
        self.set(name, text.replace('$', "$$"));
    }

    /// Adds a variable whose value is a key of a Secret.
    pub fn set_from_secret(&mut self, name: &str, secret: &SecretKeySelector) {
        let source = EnvVarSource { secret_key_ref: Some(secret.clone()), ..EnvVarSource::default() };
        self.vars.push(EnvVar { name: name.into(), value: None, value_from: Some(source) });
    }

    /// Adds variables of the user, unchanged.
    pub fn extend(&mut self, vars: &[EnvVar]) {
        self.vars.extend_from_slice(vars);
    }

    /// The finished list: every name once, with the value that a pod would have seen, in the order of first mention, so
    /// that `$(NAME)` still finds what stands before it. A repeated variable stays at its last place when its value
    /// refers to one that comes after the first.
    #[must_use]
    pub fn into_vars(self) -> Vec<EnvVar> {
        let mut first = BTreeMap::new();
        let mut slots: Vec<Option<EnvVar>> = Vec::with_capacity(self.vars.len());
        for var in self.vars {
            match first.get(&var.name).copied() {
                Some(place) if !refers_past(&var, &slots, place) => slots[place] = Some(var),
                known => {
                    if let Some(place) = known {
                        slots[place] = None;
                    }
                    first.insert(var.name.clone(), slots.len());
                    slots.push(Some(var));
                }
            }
        }
        slots.into_iter().flatten().collect()
    }
}

/// Whether the value uses a variable that stands after `place`.
fn refers_past(var: &EnvVar, slots: &[Option<EnvVar>], place: usize) -> bool {
    let Some(value) = var.value.as_deref().filter(|value| value.contains("$(")) else { return false };
    slots.iter().skip(place + 1).flatten().any(|other| value.contains(&format!("$({})", other.name)))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::EnvVar;

    use super::Variables;

    fn merged(given: &[(&str, &str)]) -> Vec<String> {
        let mut env = Variables::default();
        let vars: Vec<_> = given
            .iter()
            .map(|(name, value)| EnvVar { name: (*name).into(), value: Some((*value).into()), value_from: None })
            .collect();
        env.extend(&vars);
        env.into_vars().into_iter().map(|v| format!("{}={}", v.name, v.value.unwrap_or_default())).collect()
    }

    #[test]
    fn the_last_value_stands_at_the_first_place() {
        assert_eq!(merged(&[("A", "1"), ("B", "2"), ("A", "3"), ("A", "4")]), ["A=4", "B=2"]);
    }

    #[test]
    fn a_reference_still_finds_what_it_needs() {
        let given = [("URL", "x"), ("HOST", "h"), ("URL", "http://$(HOST)"), ("END", "$(URL)/v1")];
        assert_eq!(merged(&given), ["HOST=h", "URL=http://$(HOST)", "END=$(URL)/v1"]);
        assert_eq!(merged(&[("HOST", "a"), ("URL", "$(HOST)"), ("HOST", "b")]), ["HOST=b", "URL=$(HOST)"]);
    }

    #[test]
    fn prose_refers_to_nothing() {
        let mut env = Variables::default();
        env.set_prose("PROMPT", "it costs $5,\nnot $(PRICE)");
        let values: Vec<_> = env.into_vars().into_iter().filter_map(|v| v.value).collect();
        assert_eq!(values, ["it costs $$5,\nnot $$(PRICE)"]);
    }

    #[test]
    fn switches_have_both_spellings_and_empty_values_are_left_out() {
        let mut env = Variables::default();
        env.set_switch("AUTH", false);
        env.set("HOST", "");
        let names: Vec<_> = env.into_vars().into_iter().map(|v| v.name).collect();
        assert_eq!(names, ["AUTH_ENABLED", "AUTH_ENABLE"]);
    }
}
