use std::{fmt, sync::Arc};

use crate::tag::{Mark, Tag, TagHasher, TagId, TagKind};

/// The format of [`Record::encode`].
const FORMAT: u8 = 1;
const SOFT: u8 = 0x80;
/// Names are for people: a longer one is cut.
const MAX_NAME: usize = 512;
/// What one record may name.
const MAX_ITEMS: usize = 4096;

/// What one invalidation says: some marks, made at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Where the database stood when its change was committed, where that is known.
    pub lsn: Option<u64>,
    /// What it ends.
    pub items: Box<[Item]>,
}

/// One mark of a record, with what people want to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What the name speaks of.
    pub kind: TagKind,
    /// What it means to the table.
    pub mark: Mark,
    /// The name, for people; it may be missing or cut.
    pub name: Option<Arc<str>>,
}

impl Record {
    /// A record of `tags`.
    pub fn of<'a>(hasher: &TagHasher, tags: impl IntoIterator<Item = &'a Tag>, soft: bool) -> Self {
        let item = |tag: &Tag| Item {
            kind: tag.kind(),
            mark: Mark {
                tag: tag.id(hasher),
                soft,
            },
            name: Some(tag.shared_name()),
        };
        Self {
            lsn: None,
            items: tags.into_iter().map(item).collect(),
        }
    }

    /// A record of one tag whose number alone is known.
    #[must_use]
    pub fn of_id(kind: TagKind, tag: TagId) -> Self {
        Self::of_ids([(kind, tag)])
    }

    /// A record of tags whose numbers alone are known.
    pub fn of_ids(tags: impl IntoIterator<Item = (TagKind, TagId)>) -> Self {
        let item = |(kind, tag)| Item {
            kind,
            mark: Mark { tag, soft: false },
            name: None,
        };
        Self {
            lsn: None,
            items: tags.into_iter().map(item).collect(),
        }
    }

    /// What it means to the table.
    pub fn marks(&self) -> impl Iterator<Item = Mark> {
        self.items.iter().map(|item| item.mark)
    }

    /// Splits it into records that are short enough to be encoded.
    #[must_use]
    pub fn split(self) -> Vec<Self> {
        if self.items.len() <= MAX_ITEMS {
            return vec![self];
        }
        let parts = self.items.chunks(MAX_ITEMS).map(|items| Self {
            lsn: self.lsn,
            items: items.into(),
        });
        parts.collect()
    }

    /// The bytes that go into the log: format, LSN (0 for none), and for each item its kind with
    /// the soft bit, its number, the length of its name (2 bytes) and the name. Integers are
    /// big-endian.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(9 + self.items.len() * 40);
        out.push(FORMAT);
        out.extend_from_slice(&self.lsn.unwrap_or(0).to_be_bytes());
        for item in &self.items {
            out.push(item.kind as u8 | if item.mark.soft { SOFT } else { 0 });
            out.extend_from_slice(&item.mark.tag.to_bytes());
            let name = cut(item.name.as_deref().unwrap_or_default());
            out.extend_from_slice(&u16::try_from(name.len()).unwrap_or(0).to_be_bytes());
            out.extend_from_slice(name.as_bytes());
        }
        out
    }

    /// Reads what [`Record::encode`] wrote.
    ///
    /// # Errors
    ///
    /// When the bytes are not a record of a known format; what they invalidate is unknown then,
    /// and a node has to treat them as a gap.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let (format, rest) = bytes.split_first().ok_or(RecordError)?;
        if *format != FORMAT {
            return Err(RecordError);
        }
        let (lsn, mut rest) = rest.split_first_chunk::<8>().ok_or(RecordError)?;
        let mut items = Vec::new();
        while !rest.is_empty() {
            if items.len() == MAX_ITEMS {
                return Err(RecordError);
            }
            let (item, behind) = decode_item(rest).ok_or(RecordError)?;
            items.push(item);
            rest = behind;
        }
        let lsn = u64::from_be_bytes(*lsn);
        Ok(Self {
            lsn: (lsn != 0).then_some(lsn),
            items: items.into(),
        })
    }
}

fn decode_item(bytes: &[u8]) -> Option<(Item, &[u8])> {
    let (kind, rest) = bytes.split_first()?;
    let (tag, rest) = rest.split_first_chunk::<16>()?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    let (name, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    let name = str::from_utf8(name).ok()?;
    let item = Item {
        kind: TagKind::from_number(kind & !SOFT)?,
        mark: Mark {
            tag: TagId::from_bytes(*tag),
            soft: kind & SOFT != 0,
        },
        name: (!name.is_empty()).then(|| name.into()),
    };
    Some((item, rest))
}

fn cut(name: &str) -> &str {
    let end = (0..=MAX_NAME.min(name.len())).rfind(|end| name.is_char_boundary(*end));
    name.get(..end.unwrap_or(0)).unwrap_or_default()
}

/// Bytes in the log that are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordError;

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bytes in the log are no record of a known format")
    }
}

impl std::error::Error for RecordError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record() -> Record {
        let hasher = TagHasher::shared("test");
        let tags = [Tag::new("club:42"), Tag::of(TagKind::Uri, "a.org/x")];
        let mut record = Record::of(&hasher, &tags, true);
        record.lsn = Some(7);
        record
    }

    #[test]
    fn a_record_comes_back_as_it_was() {
        assert_eq!(Record::decode(&record().encode()), Ok(record()));
        let id = Record::of_id(TagKind::Group, TagId::from_bytes([7; 16]));
        assert_eq!(Record::decode(&id.encode()), Ok(id));
    }

    #[test]
    fn a_cut_or_foreign_record_is_an_error_and_never_half_a_record() {
        let bytes = record().encode();
        let one = 9 + 1 + 16 + 2 + "club:42".len();
        for end in (0..bytes.len()).filter(|end| ![9, one].contains(end)) {
            assert_eq!(Record::decode(&bytes[..end]), Err(RecordError), "{end}");
        }
        let mut foreign = bytes;
        foreign[0] = 2;
        assert_eq!(Record::decode(&foreign), Err(RecordError));
    }

    #[test]
    fn long_names_are_cut_at_a_character_and_many_items_are_split() {
        let hasher = TagHasher::shared("test");
        let tag = Tag::new("ä".repeat(400));
        let decoded = Record::decode(&Record::of(&hasher, [&tag], false).encode()).unwrap();
        assert_eq!(decoded.items[0].name.as_deref(), Some(&*"ä".repeat(256)));
        assert_eq!(decoded.items[0].mark.tag, tag.id(&hasher));
        let many: Vec<Tag> = (0..5000).map(|n| Tag::new(n.to_string())).collect();
        let parts = Record::of(&hasher, &many, false).split();
        assert_eq!(
            parts
                .iter()
                .map(|part| part.items.len())
                .collect::<Vec<_>>(),
            [4096, 904]
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Record::decode(&bytes);
        }
    }
}
