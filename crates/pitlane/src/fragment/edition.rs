use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, PoisonError, RwLock},
};

use minijinja::{AutoEscape, Environment};

use super::Home;

/// The texts of an environment's templates, by which fragments of other texts are not found.
#[derive(Clone, Debug, Default)]
pub(super) struct Edition(Arc<Texts>);

#[derive(Debug, Default)]
struct Texts {
    /// Of all templates that there were in the beginning (what a fragment imports or includes may be
    /// in any of them), and of the version of what they are rendered with.
    all: [u8; 32],
    /// Of each template that has had a fragment.
    each: RwLock<HashMap<String, Text>>,
}

#[derive(Debug, Default)]
struct Text {
    source: String,
    /// One for each form of escaping: what escaped a text decides where it may stand.
    homes: Vec<(AutoEscape, Home)>,
}

impl Edition {
    pub(super) fn of(environment: &Environment<'_>, version: u32) -> Self {
        let texts: BTreeMap<String, String> = environment
            .templates()
            .map(|(name, template)| (name.to_owned(), template.source().to_owned()))
            .collect();
        let mut hasher = blake3::Hasher::new_derive_key("pitlane 2026 editions of templates");
        hasher.update(&version.to_be_bytes());
        for (name, source) in &texts {
            feed(&mut hasher, name.as_bytes());
            feed(&mut hasher, source.as_bytes());
        }
        Self(Arc::new(Texts {
            all: *hasher.finalize().as_bytes(),
            each: RwLock::default(),
        }))
    }

    /// Where the fragments of one template are; `None` for one that the environment doesn't know, whose
    /// text nobody can tell.
    pub(super) fn home(
        &self,
        environment: &Environment<'_>,
        template: &str,
        escape: &AutoEscape,
    ) -> Option<Home> {
        let text = environment.get_template(template).ok()?;
        let source = text.source();
        self.known(template, source, escape)
            .or_else(|| Some(self.learn(template, source, escape)))
    }

    /// What was found before, if the template is still the same: an environment may load it anew.
    fn known(&self, name: &str, source: &str, escape: &AutoEscape) -> Option<Home> {
        let each = self.0.each.read().unwrap_or_else(PoisonError::into_inner);
        let text = each.get(name).filter(|text| text.source == source)?;
        let known = text.homes.iter().find(|(form, _)| form == escape);
        known.map(|(_, home)| *home)
    }

    fn learn(&self, name: &str, source: &str, escape: &AutoEscape) -> Home {
        let mut hasher = blake3::Hasher::new_derive_key("pitlane 2026 homes of fragments");
        hasher.update(&self.0.all);
        // `Custom("Html")` is written in quotes, and is not `Html`.
        for part in [name, source, &format!("{escape:?}")] {
            feed(&mut hasher, part.as_bytes());
        }
        let mut home = Home::default();
        hasher.finalize_xof().fill(&mut home);
        let mut each = self.0.each.write().unwrap_or_else(PoisonError::into_inner);
        let text = each.entry(name.to_owned()).or_default();
        if text.source != source {
            source.clone_into(&mut text.source);
            text.homes.clear();
        }
        text.homes.push((escape.clone(), home));
        home
    }
}

/// A length before each part: no two lists of parts are the same bytes.
fn feed(hasher: &mut blake3::Hasher, part: &[u8]) {
    hasher.update(&(part.len() as u64).to_be_bytes());
    hasher.update(part);
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn environment(part: &'static str) -> Environment<'static> {
        let mut environment = Environment::new();
        environment.add_template("page.html", "page").unwrap();
        environment.add_template("part.html", part).unwrap();
        environment
    }

    fn home(edition: &Edition, environment: &Environment<'_>, escape: &AutoEscape) -> Home {
        edition.home(environment, "page.html", escape).unwrap()
    }

    #[test]
    fn a_home_changes_with_any_text_the_version_and_the_escaping_and_with_nothing_else() {
        let (old, new) = (environment("part"), environment("another part"));
        let edition = Edition::of(&old, 0);
        let homes = [
            home(&edition, &old, &AutoEscape::Html),
            home(&edition, &old, &AutoEscape::None),
            home(&edition, &old, &AutoEscape::Custom("Html".into())),
            home(&Edition::of(&old, 1), &old, &AutoEscape::Html),
            home(&Edition::of(&new, 0), &new, &AutoEscape::Html),
            edition.home(&old, "part.html", &AutoEscape::Html).unwrap(),
        ];
        assert_eq!(homes.iter().collect::<HashSet<_>>().len(), homes.len());
        for again in [&edition, &Edition::of(&environment("part"), 0)] {
            assert_eq!(home(again, &old, &AutoEscape::Html), homes[0]);
        }
    }

    #[test]
    fn a_template_that_is_replaced_later_has_another_home() {
        let mut environment = environment("part");
        let edition = Edition::of(&environment, 0);
        let before = home(&edition, &environment, &AutoEscape::Html);
        environment.add_template("page.html", "edited").unwrap();
        let after = home(&edition, &environment, &AutoEscape::Html);
        assert_ne!(before, after);
        environment.add_template("page.html", "page").unwrap();
        assert_eq!(home(&edition, &environment, &AutoEscape::Html), before);
    }

    #[test]
    fn a_text_without_a_name_has_no_home() {
        let environment = environment("part");
        let edition = Edition::of(&environment, 0);
        assert_eq!(
            edition.home(&environment, "<string>", &AutoEscape::Html),
            None
        );
    }
}
