use std::{
    any::{Any, TypeId, type_name},
    collections::{BTreeSet, HashMap},
    fmt,
    sync::Arc,
};

use pitlane_core::Tag;

use super::Change;
use crate::{
    cache::Invalidation,
    error::{Error, ErrorKind},
};

/// The types of an application's rows, and what a change of each ends. See the
/// [module](crate::changes).
#[derive(Clone)]
pub struct Changes {
    models: Arc<HashMap<TypeId, Model>>,
}

/// Collects the rules of a [`Changes`].
#[derive(Default)]
#[must_use]
pub struct ChangesBuilder {
    models: HashMap<TypeId, Model>,
}

/// One type of row.
struct Model {
    name: &'static str,
    /// The [`Rules`] of that type; none where it is only named by another's rule.
    rules: Option<Box<dyn Any + Send + Sync>>,
    /// The types that change along with it.
    along: Vec<TypeId>,
}

struct Rules<T> {
    ends: Vec<Rule<T>>,
    along: Vec<Follow<T>>,
}

type Rule<T> = Box<dyn Fn(Change<'_, T>) -> Vec<Tag> + Send + Sync>;
type Follow<T> = Box<dyn Fn(&T, &Changes, &mut BTreeSet<Tag>) -> Result<(), Error> + Send + Sync>;

impl Changes {
    /// Begins a registry.
    pub fn builder() -> ChangesBuilder {
        ChangesBuilder::default()
    }

    /// What ends because a row changed, nobody says how: all that its coming, changing or going
    /// would end.
    ///
    /// Where the row may have been in other lists before, say so by [`updated`](Self::updated).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnknownModel`] when no rule is about that type. The same holds for all of the
    /// methods here.
    pub fn changed<T: 'static>(&self, row: &T) -> Result<Invalidation, Error> {
        self.of(Change::Somehow(row))
    }

    /// What ends because a row is new.
    ///
    /// # Errors
    ///
    /// As [`changed`](Self::changed).
    pub fn created<T: 'static>(&self, row: &T) -> Result<Invalidation, Error> {
        self.of(Change::Created(row))
    }

    /// What ends because a row is another than before: what shows it as it was, and what shows it
    /// as it is.
    ///
    /// # Errors
    ///
    /// As [`changed`](Self::changed).
    pub fn updated<T: 'static>(&self, before: &T, after: &T) -> Result<Invalidation, Error> {
        self.of(Change::Updated { before, after })
    }

    /// What ends because a row is gone.
    ///
    /// # Errors
    ///
    /// As [`changed`](Self::changed).
    pub fn deleted<T: 'static>(&self, row: &T) -> Result<Invalidation, Error> {
        self.of(Change::Deleted(row))
    }

    /// What ends because of a change: each tag once, in their order.
    ///
    /// # Errors
    ///
    /// As [`changed`](Self::changed).
    pub fn of<T: 'static>(&self, change: Change<'_, T>) -> Result<Invalidation, Error> {
        let mut tags = BTreeSet::new();
        self.collect(change, &mut tags)?;
        Ok(Invalidation::tags(tags))
    }

    fn collect<T: 'static>(
        &self,
        change: Change<'_, T>,
        tags: &mut BTreeSet<Tag>,
    ) -> Result<(), Error> {
        let model = self.models.get(&TypeId::of::<T>());
        let rules = model.and_then(|model| model.rules::<T>());
        let rules = rules.ok_or_else(unknown::<T>)?;
        for rule in &rules.ends {
            tags.extend(rule(change));
        }
        for follow in &rules.along {
            for row in change.states() {
                follow(row, self, tags)?;
            }
        }
        Ok(())
    }
}

impl ChangesBuilder {
    /// What shows a row: ended whenever it changes, in each of its states.
    pub fn on_change<T: 'static>(
        self,
        rule: impl Fn(&T) -> Vec<Tag> + Send + Sync + 'static,
    ) -> Self {
        self.rule(move |change: Change<'_, T>| change.states().flat_map(&rule).collect())
    }

    /// The lists that a row is in: ended when it comes or goes, and where an update moves it out of
    /// one into another. An update that leaves it where it is ends none of them.
    pub fn in_lists<T: 'static>(
        self,
        rule: impl Fn(&T) -> Vec<Tag> + Send + Sync + 'static,
    ) -> Self {
        self.rule(move |change: Change<'_, T>| match change {
            Change::Updated { before, after } => moved(rule(before), rule(after)),
            Change::Created(row) | Change::Deleted(row) | Change::Somehow(row) => rule(row),
        })
    }

    /// A rule that looks at the change itself.
    ///
    /// ```
    /// # use pitlane::{changes::{Change, Changes}, tags};
    /// struct Event { id: u64, track: String }
    ///
    /// let changes = Changes::builder()
    ///     .rule::<Event>(|change| match (change.before(), change.after()) {
    ///         (Some(before), Some(after)) if before.track == after.track => tags![],
    ///         _ => tags!["tracks"],
    ///     })
    ///     .build()?;
    /// let event = |track: &str| Event { id: 1, track: track.to_owned() };
    /// assert!(changes.updated(&event("Spa"), &event("Spa"))?.is_empty());
    /// assert_eq!(changes.updated(&event("Spa"), &event("Monza"))?.names(), tags!["tracks"]);
    /// # assert_eq!(event("Spa").id, 1);
    /// # Ok::<(), pitlane::Error>(())
    /// ```
    pub fn rule<T: 'static>(
        mut self,
        rule: impl Fn(Change<'_, T>) -> Vec<Tag> + Send + Sync + 'static,
    ) -> Self {
        self.model::<T>().1.ends.push(Box::new(rule));
        self
    }

    /// Rows of another type that look different when this one changes: what shows them ends as
    /// well, by that type's own rules, and so on. They neither come nor go by it, so that the
    /// lists they are in stay.
    ///
    /// ```
    /// # use pitlane::{changes::Changes, tags};
    /// struct Club { id: u64 }
    /// struct Member { club: u64 }
    ///
    /// let changes = Changes::builder()
    ///     .on_change::<Club>(|club| tags!["club:{}"(club.id)])
    ///     .on_change::<Member>(|member| tags!["club:{}:members"(member.club)])
    ///     .also_changes::<Member, Club>(|member| vec![Club { id: member.club }])
    ///     .build()?;
    /// let ended = changes.created(&Member { club: 42 })?;
    /// assert_eq!(ended.names(), tags!["club:42", "club:42:members"]);
    /// # Ok::<(), pitlane::Error>(())
    /// ```
    pub fn also_changes<T: 'static, U: 'static>(
        mut self,
        rows: impl Fn(&T) -> Vec<U> + Send + Sync + 'static,
    ) -> Self {
        self.models
            .entry(TypeId::of::<U>())
            .or_insert_with(Model::named::<U>);
        let (along, rules) = self.model::<T>();
        along.push(TypeId::of::<U>());
        rules.along.push(Box::new(move |row, changes, tags| {
            rows(row).iter().try_for_each(|row| {
                let (before, after) = (row, row);
                changes.collect(Change::Updated { before, after }, tags)
            })
        }));
        self
    }

    /// The registry.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`] when a type changes along with another and has no rule of its
    /// own, or changes along with itself.
    pub fn build(self) -> Result<Changes, Error> {
        for (id, model) in &self.models {
            if model.rules.is_none() {
                let message = format!(
                    "{} changes along with another type, and no rule says what that ends",
                    model.name
                );
                return Err(Error::new(ErrorKind::Configuration, message));
            }
            if self.reaches(&model.along, *id, &mut BTreeSet::new()) {
                let message = format!("{} changes along with itself", model.name);
                return Err(Error::new(ErrorKind::Configuration, message));
            }
        }
        Ok(Changes {
            models: Arc::new(self.models),
        })
    }

    fn reaches(&self, from: &[TypeId], wanted: TypeId, seen: &mut BTreeSet<TypeId>) -> bool {
        from.iter().any(|id| {
            *id == wanted
                || seen.insert(*id)
                    && self
                        .models
                        .get(id)
                        .is_some_and(|model| self.reaches(&model.along, wanted, seen))
        })
    }

    /// The types that change along with `T`, and its rules.
    fn model<T: 'static>(&mut self) -> (&mut Vec<TypeId>, &mut Rules<T>) {
        let model = self
            .models
            .entry(TypeId::of::<T>())
            .or_insert_with(Model::named::<T>);
        let rules = model
            .rules
            .get_or_insert_with(|| Box::new(Rules::<T>::default()));
        let rules = rules.downcast_mut();
        (&mut model.along, rules.expect("the rules of this type"))
    }
}

impl Model {
    fn named<T>() -> Self {
        Self {
            name: type_name::<T>(),
            rules: None,
            along: Vec::new(),
        }
    }

    fn rules<T: 'static>(&self) -> Option<&Rules<T>> {
        self.rules.as_ref()?.downcast_ref()
    }
}

impl<T> Default for Rules<T> {
    fn default() -> Self {
        Self {
            ends: Vec::new(),
            along: Vec::new(),
        }
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(&self.models, f.debug_struct("Changes"))
    }
}

impl fmt::Debug for ChangesBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(&self.models, f.debug_struct("ChangesBuilder"))
    }
}

fn show(models: &HashMap<TypeId, Model>, mut f: fmt::DebugStruct<'_, '_>) -> fmt::Result {
    let names: BTreeSet<_> = models.values().map(|model| model.name).collect();
    f.field("models", &names).finish_non_exhaustive()
}

/// What is in one of the two and not in both.
fn moved(before: Vec<Tag>, after: Vec<Tag>) -> Vec<Tag> {
    let (before, after) = (BTreeSet::from_iter(before), BTreeSet::from_iter(after));
    before.symmetric_difference(&after).cloned().collect()
}

fn unknown<T>() -> Error {
    let message = format!(
        "no rule says what a change of {} ends: add it to the registry of changes",
        type_name::<T>()
    );
    Error::new(ErrorKind::UnknownModel, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tags;

    struct Club {
        id: u64,
    }

    struct Team {
        id: u64,
        club: u64,
        name: &'static str,
    }

    struct Entry {
        team: Option<u64>,
    }

    struct Unknown;

    fn changes() -> Changes {
        Changes::builder()
            .on_change::<Club>(|club| tags!["club:{}"(club.id)])
            .in_lists::<Club>(|_| tags!["clubs"])
            .on_change::<Team>(|team| tags!["team:{}"(team.id)])
            .on_change::<Team>(|team| tags!["{}"(team.name)])
            .in_lists::<Team>(|team| tags!["teams", "club:{}:teams"(team.club)])
            .also_changes::<Team, Club>(|team| vec![Club { id: team.club }])
            .also_changes::<Entry, Team>(|entry| {
                let team = |id| Team {
                    id,
                    club: 9,
                    name: "T",
                };
                entry.team.map(team).into_iter().collect()
            })
            .build()
            .unwrap()
    }

    #[track_caller]
    fn check<T: 'static>(change: Change<'_, T>, expected: &str) {
        let ended = changes().of(change).unwrap();
        let names: Vec<_> = ended.names().iter().map(Tag::name).collect();
        assert_eq!(names.join(" "), expected);
    }

    const fn team(club: u64, name: &'static str) -> Team {
        Team { id: 7, club, name }
    }

    #[test]
    fn a_row_that_comes_or_goes_ends_itself_and_its_lists() {
        let (club, team) = (&Club { id: 1 }, &team(1, "A"));
        for change in [Change::Created, Change::Deleted, Change::Somehow] {
            check(change(club), "club:1 clubs");
        }
        for change in [Change::Created, Change::Deleted, Change::Somehow] {
            check(change(team), "A club:1 club:1:teams team:7 teams");
        }
    }

    #[test]
    fn a_row_that_stays_where_it_is_ends_none_of_its_lists() {
        let (before, after) = (&team(1, "A"), &team(1, "B"));
        check(Change::Updated { before, after }, "A B club:1 team:7");
    }

    #[test]
    fn a_row_that_moves_ends_the_list_it_leaves_and_the_one_it_joins() {
        let (before, after) = (&team(1, "A"), &team(2, "A"));
        let expected = "A club:1 club:1:teams club:2 club:2:teams team:7";
        check(Change::Updated { before, after }, expected);
    }

    #[test]
    fn what_changes_along_ends_by_its_own_rules_and_so_on_but_in_no_list() {
        check(Change::Created(&Entry { team: Some(5) }), "T club:9 team:5");
        check(Change::Created(&Entry { team: None }), "");
    }

    #[test]
    fn a_type_that_nobody_registered_is_an_error_that_names_it() {
        let error = changes().changed(&Unknown).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnknownModel);
        assert!(error.to_string().contains("tests::Unknown"), "{error}");
    }

    #[test]
    fn a_type_that_changes_along_needs_a_rule_and_no_circle() {
        let lonely = Changes::builder().also_changes::<Team, Club>(|_| Vec::new());
        let error = lonely.build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains("tests::Club"), "{error}");

        let round = Changes::builder()
            .also_changes::<Team, Club>(|_| Vec::new())
            .also_changes::<Club, Entry>(|_| Vec::new())
            .also_changes::<Entry, Team>(|_| Vec::new());
        let error = round.build().unwrap_err();
        assert!(error.to_string().contains("along with itself"), "{error}");
    }
}
