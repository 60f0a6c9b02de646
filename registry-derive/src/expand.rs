//! Generates the code for the checked binds and types. This step makes no decisions and cannot fail.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{Ident, Item, ItemMod, Path, Type, token};

use crate::model::{Alias, BoundType, BoundTypes, Connection, ResolvedBind, TypeKind};
use crate::module::{AliasPosition, BindAlias, Member, Module};

/// Implements `Bound` for types of one bind.
///
/// The implementations are in a block with an alias for the bind, so that a path that is not a bind causes one error
/// and not several.
pub(crate) fn bound_types(bound: &BoundTypes) -> TokenStream {
    let BoundTypes { krate, cfgs, .. } = bound;
    let (alias, more) = alias_type(krate, &bound.bind);
    let name = local_alias(&bound.bind);
    let impls = bound.types.iter().map(|ty| implement(krate, ty, &name));
    let rest = bound.bind.as_ref().ok().map(|target| {
        let submits = bound.types.iter().map(|ty| submit(krate, ty, &name));
        let asserts = backend_checks(bound, target);
        let agrees = table_checks(bound, target);
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

/// Declares the bind of tables of another crate, for which `Bound` cannot be implemented.
pub(crate) fn foreign_tables(bound: &BoundTypes) -> TokenStream {
    let krate = &bound.krate;
    let (alias, more) = alias_type(krate, &bound.bind);
    let Ok(target) = &bound.bind else {
        return quote!(const _: fn(#alias) = |_| (); #more);
    };
    let name = local_alias(&bound.bind);
    // Reports a path that is no bind at that path, and once for all tables.
    let span_of_bind = target.span().resolved_at(Span::call_site());
    let at_bind = respanned(krate, span_of_bind);
    let declarations = bound.types.iter().map(|ty| {
        let (path, text) = (&ty.path, type_path(ty));
        let span = type_span(ty);
        let (krate, at_table) = (respanned(krate, span), respanned(&name, span));
        let table = quote_spanned!(span=> #krate::private::TableOf::<#path>);
        let item = quote_spanned! {span_of_bind=>
            const ITEM: #at_bind::private::BoundItem =
                #at_bind::private::BoundItem::foreign_table::<#path, #name>(#text, FILE, LINE);
        };
        quote! {
            const _: fn() = || {
                #[allow(unused_imports)]
                use #krate::private::UnboundTable as _;
                #table::may_be_declared_for::<#at_table>();
            };
            const _: () = {
                #item
                #krate::private::inventory::submit! { ITEM }
            };
        }
    });
    quote! {
        const _: () = {
            const FILE: &str = ::core::file!();
            const LINE: u32 = ::core::line!();
            type __RegistryBind = #alias;
            #(#declarations)*
        };
    }
}

/// The name of the alias in that block, with the span of the aliased bind.
fn local_alias(bind: &syn::Result<ResolvedBind>) -> Ident {
    let span = bind.as_ref().map_or_else(|_| Span::call_site(), ResolvedBind::span);
    Ident::new("__RegistryBind", span.resolved_at(Span::call_site()))
}

fn implement(krate: &Path, ty: &BoundType, bind: &Ident) -> TokenStream {
    let (generics, arguments, conditions) = ty.generics.split_for_impl();
    let path = &ty.path;
    let span = type_span(ty);
    let krate = respanned(krate, span);
    let header = quote_spanned!(span=> impl #generics #krate::private::Bound for #path #arguments #conditions);
    quote!(#header { type Bind = #bind; })
}

/// The type whose bind is queried in generated code. For a generic type, which is many types, it is the bind (a bind is
/// bound to itself). For any other type it is the type itself, so that a path that is not a bind causes one error and
/// not two.
fn representative(ty: &BoundType, bind: &Ident) -> TokenStream {
    if ty.generics.params.is_empty() { ty.path.to_token_stream() } else { bind.to_token_stream() }
}

/// Submits the type to the collection that `verify` reads.
fn submit(krate: &Path, ty: &BoundType, bind: &Ident) -> TokenStream {
    let constructor = match ty.kind {
        TypeKind::Model => quote!(model),
        TypeKind::Table => quote!(table),
    };
    let text = type_path(ty);
    let representative = representative(ty, bind);
    quote! {
        #krate::private::inventory::submit! {
            #krate::private::BoundItem::#constructor::<#representative>(#text, ::core::file!(), ::core::line!())
        }
    }
}

/// The path of the type from its crate, as text, as far as a macro can know it.
fn type_path(ty: &BoundType) -> TokenStream {
    let mut segments: Vec<String> =
        ty.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
    if matches!(ty.kind, TypeKind::Table) {
        // `schema::events`, as people write it.
        segments.pop();
    }
    if segments.first().is_some_and(|first| first == "self") {
        segments.remove(0);
    }
    let text = segments.join("::");
    if ty.path.leading_colon.is_some() {
        return quote!(#text);
    }
    quote!(::core::concat!(::core::module_path!(), "::", #text))
}

/// Code that compiles only if the bind has the backends of `check_for_backend`.
fn backend_checks(bound: &BoundTypes, target: &ResolvedBind) -> TokenStream {
    if target.follows_check() {
        return TokenStream::new();
    }
    let span = target.span().resolved_at(Span::call_site());
    let krate = respanned(&bound.krate, span);
    let backends = bound.backends.iter().map(|backend| {
        let spelled = spelled(backend);
        quote!(#krate::private::diesel_backend!(#spelled, #backend))
    });
    let connection = quote_spanned!(span=> <__RegistryBind as #krate::private::Bind>::Connection);
    quote! {
        #(const _: () = #krate::private::assert_speaks_to::<#connection, #backends>();)*
    }
}

/// The last word of the path of a backend in `check_for_backend`, or `_unknown` where there is none.
fn spelled(backend: &Type) -> Ident {
    match backend {
        Type::Path(path) => path.path.segments.last().map(|last| last.ident.clone()),
        _ => None,
    }
    .unwrap_or_else(|| Ident::new("_unknown", Span::call_site()))
}

/// Code that compiles only if the tables of `table_name` are in the database of the model, or are not bound.
fn table_checks(bound: &BoundTypes, target: &ResolvedBind) -> TokenStream {
    if matches!(target, ResolvedBind::OfTable(_)) {
        return TokenStream::new();
    }
    let models = bound.types.iter().map(|ty| representative(ty, &local_alias(&bound.bind)));
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
    // The compiler does not check aliases. This check reports an unsupported connection type at the declaration, and
    // not wherever the bind is used.
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
        Some(BindAlias { position: AliasPosition::Beside, .. }) => (quote!(#(#cfgs)* #alias), None),
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
            let bound = bound_types(bound);
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

/// The bind as a type. If there are several mistakes, the others are items.
///
/// The first mistake is in the length of an array. The compiler then treats the type as erroneous, and reports nothing
/// more wherever it is used.
fn alias_type(krate: &Path, bind: &syn::Result<ResolvedBind>) -> (TokenStream, TokenStream) {
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

fn target_type(krate: &Path, target: &ResolvedBind) -> TokenStream {
    match target {
        ResolvedBind::Path(path) => path.to_token_stream(),
        ResolvedBind::OfTable(table) => {
            quote!(<#table::table as #krate::private::Bound>::Bind)
        }
        ResolvedBind::Keyed { key, connection } => {
            let connection = connection_type(krate, connection);
            let name = key.name();
            quote!(#krate::private::Db<#connection, #krate::private::#name>)
        }
    }
}

fn connection_type(krate: &Path, connection: &Connection) -> TokenStream {
    match connection {
        Connection::Backend(word) => {
            let at = word.span().resolved_at(Span::call_site());
            let krate = respanned(krate, at);
            quote_spanned!(at=> #krate::private::backend!(#word))
        }
        Connection::Path(path) => path.to_token_stream(),
        Connection::OfBackend(backend) => {
            let spelled = spelled(backend);
            let at = spelled.span().resolved_at(Span::call_site());
            let krate = respanned(krate, at);
            quote_spanned!(at=> #krate::private::connection_of!(#spelled, #backend))
        }
        Connection::OnlyEnabled(at) => {
            let at = at.resolved_at(Span::call_site());
            let krate = respanned(krate, at);
            quote_spanned!(at=> #krate::private::only_backend!())
        }
    }
}

/// `path` with each of its tokens at `at`. The compiler shows an error in a macro from the first to the last token of the
/// macro's path.
fn respanned(path: &impl ToTokens, at: Span) -> TokenStream {
    path.to_token_stream()
        .into_iter()
        .map(|mut token| {
            token.set_span(at);
            token
        })
        .collect()
}

fn type_span(ty: &BoundType) -> Span {
    let segments = &ty.path.segments;
    let at = match ty.kind {
        TypeKind::Model => segments.last(),
        TypeKind::Table => segments.iter().rev().nth(1),
    };
    at.map_or_else(Span::call_site, |segment| segment.ident.span()).resolved_at(Span::call_site())
}
