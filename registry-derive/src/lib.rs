//! The macros of `registry-core`: [`#[bind]`](macro@bind), [`binds!`], [`bind_tables!`] and [`bind_foreign!`].
//!
//! Depend on `registry-core`, which exports them: the code that they generate names that crate.

// A pipeline, in this order:
//
// | file | contents |
// |---|---|
// | args.rs | the tokens between the parentheses, to words and values |
// | item.rs, diesel.rs | the item under `#[bind]`, and its other attributes |
// | model.rs, key.rs, backend.rs | the meaning of both: binds and the types that belong to them, checked |
// | module.rs | the same for the items of an inline module |
// | expand.rs | generates the code. It makes no decisions and cannot fail |
//
// mistakes.rs collects the mistakes, so that all are reported at once; recovery.rs continues to read after a mistake;
// words.rs lists and guesses known words. The rule for bind keys (key.rs) is the same as in `registry_core::BindKey`,
// which this crate cannot name: both change together. tests: random_input.rs here, and `registry-core/tests/ui` for the
// messages.

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

use item::AnnotatedItem;
use mistakes::Mistakes;
use model::{Alias, BoundTypes, CheckedArgs};
use module::Module;

/// Declares which database a model belongs to, by implementing `Bound` for it.
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
/// A backend that is not named is taken from `#[diesel(check_for_backend(..))]` on the same item. Without that
/// attribute, it is the only backend whose feature of `registry-core` is enabled. If several features are enabled, the
/// backend must be named. A bind and a `check_for_backend` that name different backends do not compile.
///
/// # Modules
///
/// On an inline module it binds every struct with a `#[diesel(table_name = ..)]` and every `table!` in it and in its
/// inline modules. An item with a `#[bind]` of its own keeps that bind. Paths are resolved outside of the module, not
/// inside it.
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
/// A `#[cfg(..)]` on an item also applies to the code that is generated for it, and a `#[cfg_attr(.., diesel(..))]` is
/// recognised. Inside a module the compiler has not evaluated a `cfg_attr` yet: if one contains the table or the
/// backend of an item, that item needs a `#[bind]` of its own.
#[proc_macro_attribute]
pub fn bind(
    arguments: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    expand_bind(arguments.into(), item.into()).into()
}

/// Declares binds. Each is a name for a backend and a key, which are written only once, so that the compiler finds
/// typing errors.
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
/// Each declaration becomes a type alias with its attributes and visibility. It equals the bind of a `#[bind(..)]` with
/// the same key and backend. A first line `crate = path;` names `registry-core` under another path.
#[proc_macro]
pub fn binds(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    expand_binds(input.into()).into()
}

/// Declares which database the tables belong to, by implementing `Bound` for them.
///
/// Before the semicolon are the arguments of [`#[bind]`](macro@bind), except `table`. After it are
/// the tables, as paths to the modules that `table!` generates.
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

/// Declares which database the tables of another crate belong to, for the checks at run time.
///
/// Rust does not let a program implement `Bound` for a table of a crate that does not know this one, so [`bind_tables!`]
/// cannot bind such a table, and the compiler cannot find the database of a query on it. This macro declares the bind of
/// the table instead. It has the same arguments.
///
/// ```ignore
/// bind_foreign!(Analytics; other_crate::schema::events, other_crate::schema::clicks);
/// bind_foreign!(db = "analytics", backend = Postgres; other_crate::schema::events);
/// ```
///
/// - A query on the table is run with `.bound_to::<Analytics>()`, and on any other bind, it is refused and not sent.
/// - A query of another bind that has the table in it is refused in the same way.
/// - `verify()` compares the table with the settings.
///
/// A table that several databases have, such as the one of a job queue, can be declared once for each of them, also by
/// several crates. It may then be used in each of these. A table that is bound already can only be declared for its own
/// bind.
#[proc_macro]
pub fn bind_foreign(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    expand_bind_foreign(input.into()).into()
}

fn expand_bind(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut mistakes = Mistakes::default();
    let original = item.clone();
    let with_mistake = |mistake: syn::Error| {
        let mistake = mistake.to_compile_error();
        quote!(#original #mistake)
    };
    let annotated = match AnnotatedItem::parse(item, &mut mistakes) {
        Ok(annotated) => annotated,
        // The arguments do not matter for an item that cannot have a bind.
        Err(misplaced) => return with_mistake(misplaced),
    };
    let args = args::read(arguments, args::bind_arguments, &mut mistakes).unwrap_or_default();
    let args = CheckedArgs::check(args, mistakes);
    match annotated {
        AnnotatedItem::Model { item, attrs, name, generics } => {
            let bound = expand::bound_types(&BoundTypes::model(args, &attrs, &name, &generics));
            quote!(#item #bound)
        }
        AnnotatedItem::Module(item) => match Module::bind_items(item, args) {
            Ok(module) => expand::module(&module),
            Err(not_inline) => with_mistake(not_inline),
        },
    }
}

fn expand_binds(input: TokenStream) -> TokenStream {
    let mut mistakes = Mistakes::default();
    let Some(declarations) = args::read(input, args::binds_input, &mut mistakes) else {
        return mistakes.to_compile_error();
    };
    let aliases = Alias::from_declarations(declarations, &mut mistakes);
    let aliases = aliases.iter().map(expand::alias);
    let mistakes = mistakes.to_compile_error();
    quote!(#(#aliases)* #mistakes)
}

fn expand_bind_tables(input: TokenStream) -> TokenStream {
    let mut mistakes = Mistakes::default();
    match args::read(input, args::bind_tables_input, &mut mistakes) {
        Some(tables) => expand::bound_types(&BoundTypes::tables(tables, mistakes)),
        None => mistakes.to_compile_error(),
    }
}

fn expand_bind_foreign(input: TokenStream) -> TokenStream {
    let mut mistakes = Mistakes::default();
    match args::read(input, args::bind_foreign_input, &mut mistakes) {
        Some(tables) => expand::foreign_tables(&BoundTypes::tables(tables, mistakes)),
        None => mistakes.to_compile_error(),
    }
}
