//! Reading other attributes and macros of an item: `#[diesel(..)]`, `#[cfg(..)]`, `table!`.
//!
//! An attribute of Diesel that cannot be read here is ignored, because Diesel reports the mistake.

use proc_macro2::{TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Attribute, Ident, ItemUse, Macro, Meta, MetaList, Path, Token, Type};

/// The contents of the attributes of an item.
#[derive(Default)]
pub(crate) struct ItemAttributes {
    /// `table_name = schema::events`.
    pub(crate) tables: Vec<Path>,
    /// `check_for_backend(diesel::pg::Pg)`.
    pub(crate) backends: Vec<Type>,
    /// `#[cfg(..)]`, to be repeated on the generated items.
    pub(crate) cfgs: Vec<Attribute>,
    /// The contents of `cfg_attr`s. The compiler evaluates a `cfg_attr` on the item under `#[bind]` before it runs the
    /// macro, but not a `cfg_attr` on an item of a module.
    pub(crate) in_cfg_attr: InCfgAttr,
}

/// The position of each of these attributes inside a `cfg_attr`, if it is in one.
#[derive(Default)]
pub(crate) struct InCfgAttr {
    pub(crate) table_name: Option<Ident>,
    pub(crate) check_for_backend: Option<Ident>,
    pub(crate) bind: Option<Path>,
}

impl ItemAttributes {
    pub(crate) fn read(attrs: &[Attribute]) -> Self {
        let mut attributes = Self::default();
        for attr in attrs {
            match &attr.meta {
                Meta::List(list) if list.path.is_ident("diesel") => {
                    for word in diesel_words(&list.tokens) {
                        match word {
                            DieselWord::Table(_, table) => attributes.tables.push(table),
                            DieselWord::Backends(_, backends) => {
                                attributes.backends.extend(backends)
                            }
                        }
                    }
                }
                Meta::List(list) if list.path.is_ident("cfg_attr") => {
                    attributes.in_cfg_attr.read(list)
                }
                Meta::List(list) if list.path.is_ident("cfg") => attributes.cfgs.push(attr.clone()),
                _ => {}
            }
        }
        attributes
    }
}

impl InCfgAttr {
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

/// Whether this is the path of `#[bind]`, whatever the name of its crate is.
pub(crate) fn is_bind(path: &Path) -> bool {
    path.segments.last().is_some_and(|last| last.ident == "bind" && last.arguments.is_none())
}

enum DieselWord {
    Table(Ident, Path),
    Backends(Ident, Vec<Type>),
}

/// The words of `#[diesel(..)]` that concern the bind.
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
        // `check_for_backend(disable = true)` is not a list of types, and fails here.
        let backends = Punctuated::<Type, Token![,]>::parse_terminated(&inner)?;
        return Ok(DieselWord::Backends(word, backends.into_iter().collect()));
    }
    Err(input.error("not of interest"))
}

/// The module that a `table!` generates: `events` of `table! { schema.events (id) { .. } }`.
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

    fn attributes(item: syn::ItemStruct) -> ItemAttributes {
        ItemAttributes::read(&item.attrs)
    }

    #[test]
    fn table_and_backends_are_read_among_other_words() {
        let attributes = attributes(parse_quote! {
            #[diesel(belongs_to(User, foreign_key = user), table_name = schema::events, primary_key(a, b))]
            #[diesel(base_query = f::<A, B>(), check_for_backend(diesel::pg::Pg, Wrapper<A, B>,))]
            struct Event;
        });
        let backends: Vec<String> = attributes
            .backends
            .iter()
            .map(|backend| backend.to_token_stream().to_string())
            .collect();
        assert_eq!(attributes.tables.len(), 1);
        assert_eq!(attributes.tables[0].to_token_stream().to_string(), "schema :: events");
        assert_eq!(backends, ["diesel :: pg :: Pg", "Wrapper < A , B >"]);
    }

    #[test]
    fn a_disabled_check_names_no_backend() {
        let attributes = attributes(parse_quote!(
            #[diesel(check_for_backend(disable = true))]
            struct Event;
        ));
        assert!(attributes.backends.is_empty());
    }

    #[test]
    fn words_in_cfg_attr_are_in_cfg_attr_however_deep() {
        let attributes = attributes(parse_quote! {
            #[cfg_attr(all(a, b), cfg_attr(c, diesel(table_name = events)), registry_core::bind)]
            #[cfg_attr(d, diesel(check_for_backend(Pg)))]
            struct Event;
        });
        assert!(attributes.tables.is_empty() && attributes.backends.is_empty());
        assert!(attributes.in_cfg_attr.table_name.is_some());
        assert!(attributes.in_cfg_attr.check_for_backend.is_some());
        assert!(attributes.in_cfg_attr.bind.is_some());
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
