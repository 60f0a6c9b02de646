//! The macros of `registry-core`: [`#[bind]`](macro@bind), [`binds!`] and [`bind_tables!`].
//!
//! Depend on `registry-core`, which exports them; what they generate names that crate.

mod args;
mod backend;
mod diesel;
mod expand;
mod item;
mod key;
mod mistakes;
mod model;
mod module;
#[cfg(test)]
mod random_input;
mod recovery;
mod words;

use proc_macro2::TokenStream;
use quote::quote;

use item::Place;
use mistakes::Mistakes;
use model::{Alias, Bound, Choice};
use module::Module;

/// Says which database a model belongs to, by implementing `Bound` for it.
///
/// It goes on a struct or an enum, above or below its derives, or on an inline module.
///
/// ```ignore
/// #[bind]                                        // the default database
/// #[bind(db = "analytics")]                      // the database of that name in the settings
/// #[bind(Analytics)]                             // a bind that `binds!` declares, by its path
/// #[bind(table)]                                 // wherever its `#[diesel(table_name = ..)]` is bound
/// #[bind(db = "analytics", backend = Postgres)]  // or `Mysql`, or `Sqlite`
/// #[bind(db = "analytics", connection = MyPg)]   // an alias of a supported connection type
/// #[bind(db = "analytics", crate = my_registry)] // `registry-core` under another path
/// ```
///
/// A bind key has 1 to 32 of `a-z`, `0-9` and `_`, and begins with a letter.
///
/// # Backend
///
/// One that is not named follows from `#[diesel(check_for_backend(..))]` on the same item. Without
/// it, it is the only backend whose feature of `registry-core` is on; if several are on, it must be
/// named. A bind and a `check_for_backend` that name different backends do not compile.
///
/// # Modules
///
/// On an inline module it binds every struct with a `#[diesel(table_name = ..)]` and every `table!`
/// in it and in the inline modules in it. Items with a `#[bind]` of their own keep that. Paths mean
/// what they mean beside the module.
///
/// ```ignore
/// #[bind(Analytics)]
/// mod analytics {
///     diesel::table! { events { id -> BigInt, what -> Text, } }
///
///     #[derive(Queryable)]
///     #[diesel(table_name = events)]
///     struct Event { id: i64, what: String }
/// }
/// ```
///
/// A macro cannot see into the file of `mod schema;`: name its tables in [`bind_tables!`].
///
/// # Conditions
///
/// A `#[cfg(..)]` on an item holds for what is generated, and a `#[cfg_attr(.., diesel(..))]` is seen.
/// Not so on the items of a module, where the compiler has not settled it yet: where it hides the
/// table or the backend, the item needs a `#[bind]` of its own.
#[proc_macro_attribute]
pub fn bind(
    arguments: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    expand_bind(arguments.into(), item.into()).into()
}

/// Declares binds: a name, a backend and a key said once, so that the compiler finds typos.
///
/// ```ignore
/// binds! {
///     /// Where events are counted.
///     pub Analytics: Postgres = "analytics";
///     Files: Sqlite = "files";
///     Other = "other";                           // the only backend that is enabled
///     Legacy: crate::db::OldPg = "legacy";       // an alias of a supported connection type
/// }
/// ```
///
/// Each is a type alias with its attributes and visibility, and equal to what `#[bind(db = "..")]`
/// of the same key and backend means. A first line `crate = path;` names `registry-core` under
/// another path.
#[proc_macro]
pub fn binds(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    expand_binds(input.into()).into()
}

/// Says which database tables belong to, by implementing `Bound` for them.
///
/// Before the semicolon stand the arguments of [`#[bind]`](macro@bind), all but `table`; after it
/// the tables, as paths to the modules that `table!` makes.
///
/// ```ignore
/// bind_tables!(Analytics; schema::events, schema::clicks);
/// bind_tables!(db = "analytics", backend = Postgres; schema::events);
/// bind_tables!(db = "default"; schema::users);
/// ```
#[proc_macro]
pub fn bind_tables(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    expand_bind_tables(input.into()).into()
}

fn expand_bind(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut mistakes = Mistakes::default();
    let original = item.clone();
    let with_mistake = |mistake: syn::Error| {
        let mistake = mistake.to_compile_error();
        quote!(#original #mistake)
    };
    let place = match Place::of(item, &mut mistakes) {
        Ok(place) => place,
        // Whatever the arguments are, they do not matter here.
        Err(misplaced) => return with_mistake(misplaced),
    };
    let args = args::read(arguments, args::of_bind, &mut mistakes).unwrap_or_default();
    let choice = Choice::of(args, mistakes);
    match place {
        Place::Model { item, attrs, name, generics } => {
            let bound = expand::bound(&Bound::model(choice, &attrs, &name, &generics));
            quote!(#item #bound)
        }
        Place::Module(item) => match Module::of(item, choice) {
            Ok(module) => expand::module(&module),
            Err(not_inline) => with_mistake(not_inline),
        },
    }
}

fn expand_binds(input: TokenStream) -> TokenStream {
    let mut mistakes = Mistakes::default();
    let Some(declarations) = args::read(input, args::of_binds, &mut mistakes) else {
        return mistakes.to_compile_error();
    };
    let aliases = Alias::of(declarations, &mut mistakes);
    let aliases = aliases.iter().map(expand::alias);
    let mistakes = mistakes.to_compile_error();
    quote!(#(#aliases)* #mistakes)
}

fn expand_bind_tables(input: TokenStream) -> TokenStream {
    let mut mistakes = Mistakes::default();
    match args::read(input, args::of_bind_tables, &mut mistakes) {
        Some(tables) => expand::bound(&Bound::tables(tables, mistakes)),
        None => mistakes.to_compile_error(),
    }
}
