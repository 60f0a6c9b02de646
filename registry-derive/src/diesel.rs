//! What other attributes and macros say about an item: `#[diesel(..)]`, `#[cfg(..)]`, `table!`.
//!
//! Diesel checks its own attributes. What cannot be read here is passed over, for Diesel to report.

use proc_macro2::{TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Attribute, Ident, ItemUse, Macro, Meta, MetaList, Path, Token, Type};

/// What the attributes of an item say.
#[derive(Default)]
pub(crate) struct Facts {
    /// `table_name = schema::events`.
    pub(crate) tables: Vec<Path>,
    /// `check_for_backend(diesel::pg::Pg)`.
    pub(crate) backends: Vec<Type>,
    /// `#[cfg(..)]`, to be repeated on what is generated.
    pub(crate) cfgs: Vec<Attribute>,
    /// Words inside a `cfg_attr`. The compiler settles those on the item under `#[bind]` before it
    /// runs the macro, but not those on the items of a module.
    pub(crate) hidden: Hidden,
}

/// Words that stand inside a `cfg_attr`.
#[derive(Default)]
pub(crate) struct Hidden {
    pub(crate) table_name: Option<Ident>,
    pub(crate) check_for_backend: Option<Ident>,
    pub(crate) bind: Option<Path>,
}

impl Facts {
    pub(crate) fn of(attrs: &[Attribute]) -> Self {
        let mut facts = Self::default();
        for attr in attrs {
            match &attr.meta {
                Meta::List(list) if list.path.is_ident("diesel") => {
                    for word in diesel_words(&list.tokens) {
                        match word {
                            DieselWord::Table(_, table) => facts.tables.push(table),
                            DieselWord::Backends(_, backends) => facts.backends.extend(backends),
                        }
                    }
                }
                Meta::List(list) if list.path.is_ident("cfg_attr") => facts.hidden.read(list),
                Meta::List(list) if list.path.is_ident("cfg") => facts.cfgs.push(attr.clone()),
                _ => {}
            }
        }
        facts
    }
}

impl Hidden {
    fn read(&mut self, cfg_attr: &MetaList) {
        let Ok(metas) = cfg_attr.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)
        else {
            return;
        };
        for meta in metas.into_iter().skip(1) {
            if is_bind(meta.path()) {
                self.bind = Some(meta.path().clone());
            }
            let Meta::List(list) = meta else { continue };
            if list.path.is_ident("cfg_attr") {
                self.read(&list);
            } else if list.path.is_ident("diesel") {
                for word in diesel_words(&list.tokens) {
                    match word {
                        DieselWord::Table(word, _) => self.table_name = Some(word),
                        DieselWord::Backends(word, _) => self.check_for_backend = Some(word),
                    }
                }
            }
        }
    }
}

/// Whether this is the path of `#[bind]`, under whatever name its crate goes.
pub(crate) fn is_bind(path: &Path) -> bool {
    path.segments.last().is_some_and(|last| last.ident == "bind" && last.arguments.is_none())
}

enum DieselWord {
    Table(Ident, Path),
    Backends(Ident, Vec<Type>),
}

/// The words of `#[diesel(..)]` that matter here.
fn diesel_words(tokens: &TokenStream) -> Vec<DieselWord> {
    let mut pieces = vec![TokenStream::new()];
    for token in tokens.clone() {
        match (&token, pieces.last_mut()) {
            (TokenTree::Punct(comma), _) if comma.as_char() == ',' => {
                pieces.push(TokenStream::new());
            }
            (_, Some(last)) => last.extend([token]),
            (_, None) => {}
        }
    }
    pieces.into_iter().filter_map(|piece| diesel_word.parse2(piece).ok()).collect()
}

fn diesel_word(input: ParseStream<'_>) -> syn::Result<DieselWord> {
    let word: Ident = input.parse()?;
    if word == "table_name" {
        input.parse::<Token![=]>()?;
        return Ok(DieselWord::Table(word, input.parse()?));
    }
    if word == "check_for_backend" {
        let inner;
        syn::parenthesized!(inner in input);
        // `check_for_backend(disable = true)` is no list of types, and fails here.
        let backends = Punctuated::<Type, Token![,]>::parse_terminated(&inner)?;
        return Ok(DieselWord::Backends(word, backends.into_iter().collect()));
    }
    Err(input.error("not of interest"))
}

/// The module that a `table!` makes: `events` of `table! { schema.events (id) { .. } }`.
pub(crate) fn table_of(mac: &Macro) -> Option<Ident> {
    let is_table = mac.path.segments.last()?.ident == "table";
    is_table.then(|| mac.parse_body::<TableHeader>().ok()).flatten().map(|header| header.name)
}

struct TableHeader {
    name: Ident,
}

impl Parse for TableHeader {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        while input.peek(Token![use]) || input.peek(Token![pub]) {
            input.parse::<ItemUse>()?;
        }
        Attribute::parse_outer(input)?;
        let mut name = input.call(Ident::parse_any)?;
        if input.peek(Token![.]) {
            input.parse::<Token![.]>()?;
            name = input.call(Ident::parse_any)?;
        }
        input.parse::<TokenStream>()?;
        Ok(Self { name })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::ToTokens;
    use syn::parse_quote;

    fn facts(item: syn::ItemStruct) -> Facts {
        Facts::of(&item.attrs)
    }

    #[test]
    fn table_and_backends_are_read_among_other_words() {
        let facts = facts(parse_quote! {
            #[diesel(belongs_to(User, foreign_key = user), table_name = schema::events, primary_key(a, b))]
            #[diesel(base_query = f::<A, B>(), check_for_backend(diesel::pg::Pg, Wrapper<A, B>,))]
            struct Event;
        });
        let backends: Vec<String> =
            facts.backends.iter().map(|backend| backend.to_token_stream().to_string()).collect();
        assert_eq!(facts.tables.len(), 1);
        assert_eq!(facts.tables[0].to_token_stream().to_string(), "schema :: events");
        assert_eq!(backends, ["diesel :: pg :: Pg", "Wrapper < A , B >"]);
    }

    #[test]
    fn a_disabled_check_names_no_backend() {
        let facts = facts(parse_quote!(
            #[diesel(check_for_backend(disable = true))]
            struct Event;
        ));
        assert!(facts.backends.is_empty());
    }

    #[test]
    fn words_in_cfg_attr_are_hidden_however_deep() {
        let facts = facts(parse_quote! {
            #[cfg_attr(all(a, b), cfg_attr(c, diesel(table_name = events)), registry_core::bind)]
            #[cfg_attr(d, diesel(check_for_backend(Pg)))]
            struct Event;
        });
        assert!(facts.tables.is_empty() && facts.backends.is_empty());
        assert!(facts.hidden.table_name.is_some());
        assert!(facts.hidden.check_for_backend.is_some());
        assert!(facts.hidden.bind.is_some());
    }

    #[test]
    fn a_table_is_named_after_its_imports_attributes_and_schema() {
        let name = |mac: syn::Macro| table_of(&mac).map(|name| name.to_string());
        assert_eq!(
            name(parse_quote!(diesel::table! {
                use diesel::sql_types::*;
                use crate::types::Mood;
                /// Docs.
                #[sql_name = "Events"]
                audit.events (id, day) { id -> Integer, }
            })),
            Some("events".to_owned())
        );
        assert_eq!(
            name(parse_quote!(table! { clicks { id -> Integer, } })),
            Some("clicks".to_owned())
        );
        assert_eq!(name(parse_quote!(joinable!(a -> b (c)))), None);
    }
}
