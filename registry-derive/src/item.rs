//! The item under `#[bind]`.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{Attribute, Error, Generics, Ident, Item, ItemMod};

use crate::diesel;
use crate::mistakes::Mistakes;

/// An item that `#[bind]` supports, without further `bind` attributes.
pub(crate) enum AnnotatedItem {
    Model { item: TokenStream, attrs: Vec<Attribute>, name: Ident, generics: Generics },
    Module(ItemMod),
}

impl AnnotatedItem {
    /// Reads `item`. A second `#[bind]` on the item is noted as a mistake and removed.
    pub(crate) fn parse(item: TokenStream, mistakes: &mut Mistakes) -> syn::Result<Self> {
        match syn::parse2(item)? {
            Item::Struct(mut item) => {
                take_other_binds(&mut item.attrs, mistakes);
                Ok(Self::Model {
                    item: item.to_token_stream(),
                    attrs: item.attrs,
                    name: item.ident,
                    generics: item.generics,
                })
            }
            Item::Enum(mut item) => {
                take_other_binds(&mut item.attrs, mistakes);
                Ok(Self::Model {
                    item: item.to_token_stream(),
                    attrs: item.attrs,
                    name: item.ident,
                    generics: item.generics,
                })
            }
            Item::Mod(mut item) => {
                take_other_binds(&mut item.attrs, mistakes);
                Ok(Self::Module(item))
            }
            other => Err(misplaced(&other)),
        }
    }
}

fn take_other_binds(attrs: &mut Vec<Attribute>, mistakes: &mut Mistakes) {
    for other in attrs.extract_if(.., |attr| diesel::is_bind(attr.path())) {
        mistakes
            .add_at(other, "a second `#[bind]`: a type lives in one database, so keep one of them");
    }
}

fn misplaced(item: &Item) -> Error {
    let (what, instead) = match item {
        Item::Fn(_) => ("a function", ""),
        Item::Impl(_) => ("an `impl`", ": put it on the type"),
        Item::Trait(_) | Item::TraitAlias(_) => ("a trait", ""),
        Item::Union(_) => ("a union", ""),
        Item::Type(_) => ("a type alias", ": put it on the type"),
        Item::Use(_) => ("a `use`", ""),
        Item::Const(_) | Item::Static(_) => ("a constant", ""),
        Item::Macro(item) if diesel::table_of(&item.mac).is_some() => (
            "a `table!`",
            ": put it on the module around it, or name the table in `registry_core::bind_tables!`",
        ),
        Item::Macro(_) => ("a macro", ""),
        _ => ("this", ""),
    };
    Error::new(
        proc_macro2::Span::call_site(),
        format!("`#[bind]` goes on a struct, an enum or an inline module, not on {what}{instead}"),
    )
}
