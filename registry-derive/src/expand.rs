//! Checked meaning to tokens. Nothing is decided here, and nothing can fail.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{Ident, Item, ItemMod, Path, token};

use crate::model::{Alias, Bound, Connection, Noun, Subject, Target};
use crate::module::{BindAlias, Member, Module, Place};

/// The implementations of `Bound` for types of one bind.
///
/// They stand in a block with an alias, so that a bind that is no bind is one error and not several.
pub(crate) fn bound(bound: &Bound) -> TokenStream {
    let Bound { krate, cfgs, .. } = bound;
    let (alias, more) = alias_type(krate, &bound.bind);
    let name = alias_name(&bound.bind);
    let impls = bound.subjects.iter().map(|subject| implement(krate, subject, &name));
    let rest = bound.bind.as_ref().ok().map(|target| {
        let submits = bound.subjects.iter().map(|subject| submit(krate, subject, &name));
        let asserts = asserts(bound, target);
        let agrees = agrees(bound, target);
        quote!(#(#submits)* #asserts #agrees)
    });
    quote! {
        #more
        #(#cfgs)*
        const _: () = {
            type __RegistryBind = #alias;
            #(#impls)*
            #rest
        };
    }
}

/// The local alias, at the span of what it stands for.
fn alias_name(bind: &syn::Result<Target>) -> Ident {
    let span = bind.as_ref().map_or_else(|_| Span::call_site(), Target::span);
    Ident::new("__RegistryBind", span.resolved_at(Span::call_site()))
}

fn implement(krate: &Path, subject: &Subject, bind: &Ident) -> TokenStream {
    let (generics, arguments, conditions) = subject.generics.split_for_impl();
    let path = &subject.path;
    let span = subject_span(subject);
    let krate = respanned(krate, span);
    let header = quote_spanned!(span=> impl #generics #krate::private::Bound for #path #arguments #conditions);
    quote!(#header { type Bind = #bind; })
}

/// What to ask for the bind of a type. A generic one is many types, so its bind speaks for it. Others
/// speak for themselves: that they are bound is checked above, and a bind that is none is one error, not
/// two.
fn speaker(subject: &Subject, bind: &Ident) -> TokenStream {
    if subject.generics.params.is_empty() {
        subject.path.to_token_stream()
    } else {
        bind.to_token_stream()
    }
}

/// Has `verify` find the type.
fn submit(krate: &Path, subject: &Subject, bind: &Ident) -> TokenStream {
    let constructor = match subject.noun {
        Noun::Model => quote!(model),
        Noun::Table => quote!(table),
    };
    let text = subject_path(subject);
    let speaker = speaker(subject, bind);
    quote! {
        #krate::private::inventory::submit! {
            #krate::private::BoundItem::#constructor::<#speaker>(#text, ::core::file!(), ::core::line!())
        }
    }
}

/// The path of the type, as text: from the crate, as far as a macro can tell.
fn subject_path(subject: &Subject) -> TokenStream {
    let mut segments: Vec<String> =
        subject.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
    if matches!(subject.noun, Noun::Table) {
        // `schema::events`, as people write it.
        segments.pop();
    }
    if segments.first().is_some_and(|first| first == "self") {
        segments.remove(0);
    }
    let text = segments.join("::");
    if subject.path.leading_colon.is_some() {
        return quote!(#text);
    }
    quote!(::core::concat!(::core::module_path!(), "::", #text))
}

/// Compiles if the bind speaks to the backends that `check_for_backend` names.
fn asserts(bound: &Bound, target: &Target) -> TokenStream {
    if target.follows_check() {
        return TokenStream::new();
    }
    let span = target.span().resolved_at(Span::call_site());
    let krate = respanned(&bound.krate, span);
    let backends = &bound.backends;
    let connection = quote_spanned!(span=> <__RegistryBind as #krate::private::Bind>::Connection);
    quote! {
        #(const _: () = #krate::private::assert_speaks_to::<#connection, #backends>();)*
    }
}

/// Compiles if the tables that `table_name` names are bound where the model is, or not at all.
fn agrees(bound: &Bound, target: &Target) -> TokenStream {
    if matches!(target, Target::OfTable(_)) {
        return TokenStream::new();
    }
    let models = bound.subjects.iter().map(|subject| speaker(subject, &alias_name(&bound.bind)));
    let checks = bound.tables.iter().zip(models.cycle()).map(|(table, model)| {
        let last = table.segments.last().map_or_else(Span::call_site, |last| last.ident.span());
        let span = last.resolved_at(Span::call_site());
        let (krate, model) = (respanned(&bound.krate, span), respanned(&model, span));
        quote_spanned! {span=>
            const _: fn() = || {
                #[allow(unused_imports)]
                use #krate::private::UnboundTable as _;
                #krate::private::TableOf::<#table::table>::agrees_with::<#model>();
            };
        }
    });
    quote!(#(#checks)*)
}

/// `pub type Analytics = ..;` for each declaration of `binds!`.
pub(crate) fn alias(alias: &Alias) -> TokenStream {
    let Alias { krate, attrs, cfgs, vis, name, bind } = alias;
    let (target, more) = alias_type(krate, bind);
    // The compiler does not check aliases, and a connection that is none is better said here than
    // wherever the bind is used.
    let check = bind.as_ref().ok().map(|target| {
        let span = target.span().resolved_at(Span::call_site());
        let krate = respanned(krate, span);
        let mut name = name.clone();
        name.set_span(span);
        quote_spanned!(span=> #(#cfgs)* const _: &str = <#name as #krate::private::Bind>::KEY;)
    });
    quote! {
        #more
        #(#attrs)*
        #vis type #name = #target;
        #check
    }
}

pub(crate) fn module(module: &Module) -> TokenStream {
    let cfgs = &module.cfgs;
    let krate = module.krate_alias.as_ref().map(|(path, name)| {
        quote! {
            #(#cfgs)*
            #[allow(unused_imports)]
            use #path as #name;
        }
    });
    let alias = module.bind_alias.as_ref().map(bind_alias);
    let (beside, inside) = match &module.bind_alias {
        Some(BindAlias { place: Place::Beside, .. }) => (quote!(#(#cfgs)* #alias), None),
        _ => (TokenStream::new(), alias),
    };
    let members = module.members.iter().map(member);
    let content = quote!(#inside #(#members)*);
    let module = with_content(&module.header, module.brace, content);
    quote!(#krate #beside #module)
}

fn bind_alias(alias: &BindAlias) -> TokenStream {
    let BindAlias { krate, name, bind, .. } = alias;
    let (target, more) = alias_type(krate, bind);
    quote! {
        #[allow(dead_code, non_camel_case_types)]
        type #name = #target;
        #more
    }
}

fn member(member: &Member) -> TokenStream {
    match member {
        Member::Other(item) => item.to_token_stream(),
        Member::Bound(item, bound) => {
            let bound = self::bound(bound);
            quote!(#item #bound)
        }
        Member::Module(header, brace, members) => {
            let members = members.iter().map(self::member);
            with_content(header, *brace, quote!(#(#members)*))
        }
    }
}

fn with_content(header: &ItemMod, brace: token::Brace, content: TokenStream) -> TokenStream {
    let mut module = header.clone();
    module.content = Some((brace, vec![Item::Verbatim(content)]));
    module.into_token_stream()
}

/// A bind as a type, and what else is to be said.
///
/// A mistake stands in the length of an array. The compiler then takes the type for one that is wrong
/// already, and has nothing more to say wherever it is used. Further mistakes follow as items.
fn alias_type(krate: &Path, bind: &syn::Result<Target>) -> (TokenStream, TokenStream) {
    match bind {
        Ok(target) => (target_type(krate, target), TokenStream::new()),
        Err(mistakes) => {
            let mut messages =
                mistakes.clone().into_iter().map(|mistake| mistake.to_compile_error());
            let first = messages.next();
            (quote!([(); #first]), messages.collect())
        }
    }
}

fn target_type(krate: &Path, target: &Target) -> TokenStream {
    match target {
        Target::Path(path) => path.to_token_stream(),
        Target::OfTable(table) => {
            quote!(<#table::table as #krate::private::Bound>::Bind)
        }
        Target::Keyed { key, connection } => {
            let connection = connection_type(krate, connection);
            let name = key.name();
            quote!(#krate::private::Db<#connection, #krate::private::#name>)
        }
    }
}

fn connection_type(krate: &Path, connection: &Connection) -> TokenStream {
    match connection {
        Connection::Word(word) => {
            let at = word.span().resolved_at(Span::call_site());
            let krate = respanned(krate, at);
            quote_spanned!(at=> #krate::private::backend!(#word))
        }
        Connection::Path(path) => path.to_token_stream(),
        Connection::Of(backend) => {
            quote!(<#backend as #krate::private::DieselBackend>::Connection)
        }
        Connection::Only(at) => {
            let at = at.resolved_at(Span::call_site());
            let krate = respanned(krate, at);
            quote_spanned!(at=> #krate::private::only_backend!())
        }
    }
}

/// `path` with all of it at `at`: a macro's errors are shown from the first to the last of its path.
fn respanned(path: &impl ToTokens, at: Span) -> TokenStream {
    path.to_token_stream()
        .into_iter()
        .map(|mut token| {
            token.set_span(at);
            token
        })
        .collect()
}

fn subject_span(subject: &Subject) -> Span {
    let segments = &subject.path.segments;
    let at = match subject.noun {
        Noun::Model => segments.last(),
        Noun::Table => segments.iter().rev().nth(1),
    };
    at.map_or_else(Span::call_site, |segment| segment.ident.span()).resolved_at(Span::call_site())
}
