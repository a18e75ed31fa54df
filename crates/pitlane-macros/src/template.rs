use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{Error, Ident, LitStr, Result, ext::IdentExt, parse::Parser};

/// A text with placeholders, such as `club:{club_id}:members`.
pub(crate) struct Template {
    text: LitStr,
    pieces: Vec<Piece>,
}

enum Piece {
    Text(String),
    /// An argument, and the fields that lead on from it.
    Value(Vec<Ident>),
}

impl Template {
    pub(crate) fn of(text: &LitStr) -> Result<Self> {
        let pieces = pieces(text)?;
        Ok(Self {
            text: text.clone(),
            pieces,
        })
    }

    pub(crate) fn span(&self) -> Span {
        self.text.span()
    }

    /// The arguments that it names.
    pub(crate) fn arguments(&self) -> impl Iterator<Item = &Ident> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Value(path) => path.first(),
            Piece::Text(_) => None,
        })
    }

    /// The arguments that it names as a whole.
    pub(crate) fn whole_arguments(&self) -> impl Iterator<Item = &Ident> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Value(path) if path.len() == 1 => path.first(),
            _ => None,
        })
    }

    /// Refuses a text that two different pairs of arguments could make.
    pub(crate) fn check_single(&self) -> Result<()> {
        if self.arguments().count() > 1 {
            let message = "two arguments in one text could run together: name one";
            return Err(Error::new(self.span(), message));
        }
        Ok(())
    }

    /// An expression of the type `String`.
    pub(crate) fn string(&self) -> TokenStream {
        format(&self.pieces)
    }

    /// An expression of the type `Key`: what an argument holds never makes a level of its own.
    pub(crate) fn key(&self) -> Result<TokenStream> {
        let mut levels: Vec<Vec<Piece>> = vec![Vec::new()];
        for piece in &self.pieces {
            match piece {
                Piece::Value(path) => push(&mut levels, Piece::Value(path.clone())),
                Piece::Text(text) => {
                    for (number, part) in text.split(':').enumerate() {
                        if number > 0 {
                            levels.push(Vec::new());
                        }
                        if !part.is_empty() {
                            push(&mut levels, Piece::Text(part.to_owned()));
                        }
                    }
                }
            }
        }
        let values = |level: &&Vec<Piece>| {
            let values = level
                .iter()
                .filter(|piece| matches!(piece, Piece::Value(_)));
            values.count() > 1
        };
        if levels.iter().any(|level| values(&level)) {
            let message = "two arguments in one level of the key could run together: put a `:` \
                           between them";
            return Err(Error::new(self.span(), message));
        }
        if levels.iter().any(Vec::is_empty) {
            let message = "a level of the key is empty: levels are separated by one `:`";
            return Err(Error::new(self.span(), message));
        }
        let mut levels = levels.iter().map(|pieces| level(pieces));
        let first = levels.next().unwrap_or_default();
        Ok(quote!(::pitlane::Key::new(#first) #( .child(#levels) )*))
    }
}

fn push(levels: &mut [Vec<Piece>], piece: Piece) {
    if let Some(level) = levels.last_mut() {
        level.push(piece);
    }
}

/// An expression of the type `String`.
fn format(pieces: &[Piece]) -> TokenStream {
    let (text, values) = format_of(pieces);
    quote!(::std::format!(#text #(, #values)*))
}

/// An expression that is formatted where it is used: no copy is made of it.
fn level(pieces: &[Piece]) -> TokenStream {
    let (text, values) = format_of(pieces);
    quote!(::std::format_args!(#text #(, #values)*))
}

fn format_of(pieces: &[Piece]) -> (String, Vec<TokenStream>) {
    let mut text = String::new();
    let mut values = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Text(piece) => text.push_str(&piece.replace('{', "{{").replace('}', "}}")),
            Piece::Value(path) => {
                text.push_str("{}");
                values.push(quote!(#(#path).*));
            }
        }
    }
    (text, values)
}

fn pieces(text: &LitStr) -> Result<Vec<Piece>> {
    let value = text.value();
    let wrong = |message: &str| Err(Error::new(text.span(), format!("{message} in `{value}`")));
    let mut pieces = Vec::new();
    let mut rest = value.as_str();
    while let Some(at) = rest.find(['{', '}']) {
        let (before, brace) = rest.split_at(at);
        if !before.is_empty() {
            pieces.push(Piece::Text(before.to_owned()));
        }
        let Some(inside) = brace.strip_prefix('{') else {
            return wrong("`}` without `{`");
        };
        let Some((name, behind)) = inside.split_once('}') else {
            return wrong("`{` without `}`");
        };
        match path(name, text.span()) {
            Some(path) => pieces.push(Piece::Value(path)),
            None => return wrong(&format!("`{{{name}}}` is no argument or field of one")),
        }
        rest = behind;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    if pieces.is_empty() {
        return wrong("nothing");
    }
    Ok(pieces)
}

fn path(name: &str, span: Span) -> Option<Vec<Ident>> {
    let ident = |part: &str| {
        let mut ident = Ident::parse_any.parse_str(part).ok()?;
        ident.set_span(span);
        Some(ident)
    };
    name.split('.').map(ident).collect()
}
