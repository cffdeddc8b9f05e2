//! Which features can be had: those whose dependencies can.

use plugin_api::{Dependency, Feature, FeatureName};

use crate::loaded::{Offered, Plugin};

/// A plugin whose library is open.
pub(super) struct Candidate {
    name: String,
    critical: bool,
    features: Vec<Feature>,
    builtin: bool,
    /// Whether no list names it.
    unnamed: bool,
}

impl Candidate {
    pub(super) fn new(name: String, critical: bool, features: Vec<Feature>) -> Self {
        Self {
            name,
            critical,
            features,
            builtin: false,
            unnamed: false,
        }
    }

    /// One that no list names, for what others cannot do.
    pub(super) fn unnamed(self) -> Self {
        Self {
            unnamed: true,
            ..self
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Makes it critical if it is not yet.
    pub(super) fn demand(&mut self, critical: bool) {
        self.critical |= critical;
    }

    /// A part of the daemon that is listed like a plugin.
    pub(super) fn builtin(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            critical: false,
            features: Vec::new(),
            builtin: true,
            unnamed: false,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Untried,
    /// Being tried: whoever depends on it now closes a loop.
    Trying,
    Loaded,
    Failed,
}

struct Node {
    plugin: usize,
    name: FeatureName,
    dependencies: Vec<Dependency>,
    state: State,
}

/// Loads features in the order of the list, each after what it depends on.
///
/// # Errors
///
/// If a critical plugin has a feature that cannot be loaded.
pub(super) fn resolve(candidates: Vec<Candidate>, log: &dyn Fn(i8, &str)) -> Result<Vec<Plugin>, String> {
    let mut nodes = Vec::new();
    for (plugin, candidate) in candidates.iter().enumerate() {
        for feature in &candidate.features {
            nodes.push(Node {
                plugin,
                name: feature.name.clone(),
                dependencies: feature.dependencies.clone(),
                state: State::Untried,
            });
        }
        if candidate.builtin {
            let name = FeatureName::Custom("socket".into());
            nodes.push(Node {
                plugin,
                name,
                dependencies: Vec::new(),
                state: State::Untried,
            });
        }
    }
    let mut failed = 0;
    for index in 0..nodes.len() {
        if !load(&mut nodes, index, &candidates, log) && candidates[nodes[index].plugin].critical {
            failed += 1;
        }
    }
    if failed > 0 {
        let plural = if failed == 1 { "" } else { "s" };
        return Err(format!("failed to load {failed} critical plugin feature{plural}"));
    }
    let mut states = nodes.into_iter().map(|node| node.state);
    let mut plugins = Vec::new();
    for candidate in candidates {
        let mut features: Vec<Offered> = Vec::new();
        for feature in candidate.features {
            let loaded = states.next() == Some(State::Loaded);
            features.push(Offered {
                name: feature.name,
                dependencies: feature.dependencies,
                loaded,
                implementation: loaded.then_some(feature.implementation),
            });
        }
        if candidate.builtin {
            states.next();
            features.push(Offered {
                name: FeatureName::Custom("socket".into()),
                dependencies: Vec::new(),
                loaded: true,
                implementation: None,
            });
        }
        if features.iter().any(|offered| offered.loaded) {
            plugins.push(Plugin {
                name: candidate.name,
                critical: candidate.critical,
                unnamed: candidate.unnamed,
                features,
            });
        } else {
            log(
                2,
                &format!("unloading plugin '{}' without loaded features", candidate.name),
            );
        }
    }
    Ok(plugins)
}

/// Loads a feature after its dependencies; whether it is loaded.
fn load(nodes: &mut Vec<Node>, index: usize, candidates: &[Candidate], log: &dyn Fn(i8, &str)) -> bool {
    match nodes[index].state {
        State::Loaded => return true,
        State::Trying | State::Failed => return false,
        State::Untried => {}
    }
    nodes[index].state = State::Trying;
    for dependency in nodes[index].dependencies.clone() {
        let providers: Vec<usize> = (0..nodes.len())
            .filter(|other| nodes[*other].name == dependency.name)
            .collect();
        let available = providers
            .into_iter()
            .any(|provider| load(nodes, provider, candidates, log));
        if !available && !dependency.soft {
            let candidate = &candidates[nodes[index].plugin];
            let level = if candidate.critical { 1 } else { 2 };
            log(
                level,
                &format!(
                    "feature {} in plugin '{}' has unmet dependency: {}",
                    nodes[index].name, candidate.name, dependency.name
                ),
            );
            nodes[index].state = State::Failed;
            return false;
        }
    }
    nodes[index].state = State::Loaded;
    true
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::sync::Arc;

    use plugin_api::{Implementation, PluginError, Random, RandomQuality};

    use super::*;

    struct Nothing;

    impl Random for Nothing {
        fn fill(&self, _: &mut [u8]) -> Result<(), PluginError> {
            Ok(())
        }
    }

    fn feature(name: &str) -> Feature {
        Feature::new(custom(name), Implementation::Random(Arc::new(Nothing)))
    }

    fn custom(name: &str) -> FeatureName {
        FeatureName::Custom(name.into())
    }

    fn run(candidates: Vec<Candidate>) -> (Result<Vec<String>, String>, Vec<String>) {
        let lines = RefCell::new(Vec::new());
        let plugins = resolve(candidates, &|level, line| {
            lines.borrow_mut().push(format!("{level} {line}"))
        });
        let loaded = plugins.map(|plugins| {
            let names = |plugin: Plugin| {
                let features = plugin.features.into_iter().filter(|offered| offered.loaded);
                features
                    .map(move |offered| format!("{}/{}", plugin.name, offered.name))
                    .collect::<Vec<_>>()
            };
            plugins.into_iter().flat_map(names).collect()
        });
        (loaded, lines.into_inner())
    }

    fn plugin(name: &str, features: Vec<Feature>) -> Candidate {
        Candidate::new(name.into(), false, features)
    }

    #[test]
    fn what_is_depended_on_may_come_later_in_the_list() {
        let (loaded, lines) = run(vec![
            plugin(
                "a",
                vec![feature("x").depends(custom("y")).soft_depends(custom("nowhere"))],
            ),
            plugin("b", vec![feature("y")]),
        ]);
        assert_eq!(loaded.expect("loaded"), ["a/CUSTOM:x", "b/CUSTOM:y"]);
        assert!(lines.is_empty());
    }

    #[test]
    fn unmet_dependencies_and_loops_leave_a_feature_out() {
        let (loaded, lines) = run(vec![
            plugin("a", vec![feature("x").depends(custom("nowhere")), feature("z")]),
            plugin(
                "b",
                vec![
                    feature("p").depends(custom("q")),
                    feature("q").depends(custom("p")),
                ],
            ),
        ]);
        assert_eq!(loaded.expect("loaded"), ["a/CUSTOM:z"]);
        assert_eq!(
            lines,
            [
                "2 feature CUSTOM:x in plugin 'a' has unmet dependency: CUSTOM:nowhere",
                "2 feature CUSTOM:q in plugin 'b' has unmet dependency: CUSTOM:p",
                "2 feature CUSTOM:p in plugin 'b' has unmet dependency: CUSTOM:q",
                "2 unloading plugin 'b' without loaded features",
            ]
        );
    }

    #[test]
    fn a_critical_plugin_needs_all_its_features() {
        let needy = vec![feature("x").depends(FeatureName::Random(RandomQuality::True))];
        let (loaded, lines) = run(vec![Candidate::new("a".into(), true, needy)]);
        assert_eq!(
            loaded.expect_err("refused"),
            "failed to load 1 critical plugin feature"
        );
        assert_eq!(
            lines,
            ["1 feature CUSTOM:x in plugin 'a' has unmet dependency: RNG:RNG_TRUE"]
        );
    }
}
