"""Makes the project that the benches build: an application with 30 dependencies in git, always the same bytes.

The dependencies have the sizes that real ones have: a few of one to three modules, most of five to fifteen, one of
thirty, in a graph four levels deep. The code is varied: records, maps, binaries, processes, comprehensions, behaviours
and header files of the level below.
"""

import os
import pathlib
import random
import subprocess

# Modules of each dependency, level by level: a dependency needs some of the level below its own.
LEVELS = [
    [1, 2, 3, 5, 8, 10, 10, 12, 30],
    [1, 2, 6, 8, 8, 10, 10, 12, 20],
    [3, 5, 6, 8, 10, 12, 12],
    [2, 6, 8, 10, 15],
]
APP_MODULES = 10
DATE = "2024-05-01T10:00:00Z"
FORGE = "https://git.rebeam.test/"


def names():
    return [[f"dep{level}{chr(97 + index)}" for index in range(len(sizes))] for level, sizes in enumerate(LEVELS)]


class Writer:
    """Writes modules; everything is drawn from one seed."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def expression(self, depth=0):
        pick = self.random.randrange(8 if depth < 3 else 3)
        number = self.random.randrange(1, 4096)
        inner = lambda: self.expression(depth + 1)
        return [
            lambda: "X",
            lambda: str(number),
            lambda: f"length([I || I <- lists:seq(1, {number % 50 + 1}), I rem {number % 7 + 2} =:= 0])",
            lambda: f"({inner()} + {inner()})",
            lambda: f"max({inner()}, {inner()} band {number})",
            lambda: f"erlang:phash2({{{inner()}, <<\"key{number}\">>}}, {number + 1})",
            lambda: f"case X rem {number % 5 + 2} of 0 -> {inner()}; _ -> {inner()} end",
            lambda: f"maps:get(k{number % 16}, #{{k{number % 16} => {inner()}}}, {number})",
        ][pick]()

    def functions(self, module, number, others):
        """One group of functions, as (exports, text)."""
        kind = self.random.randrange(7)
        name = f"f{number}"
        x = self.expression
        if kind == 0:
            clauses = ";\n".join(f"{name}({{tag{i}, X}}) when is_integer(X), X > {i} -> {x()}" for i in range(self.random.randrange(4, 14)))
            return [f"{name}/1"], f"{clauses};\n{name}(_) -> undefined.\n"
        if kind == 1:
            return [f"{name}/2"], (
                f"{name}(<<Kind:8, Length:16, Body:Length/binary, Rest/binary>>, Seen) ->\n    X = byte_size(Body),\n"
                f"    Entry = case Kind of\n        1 -> {{data, Body, X, {x()}}};\n        2 -> {{end_of, {x()}}};\n"
                f"        Other when Other < 16 -> {{control, Other, {x()}}};\n        _ -> unknown\n    end,\n"
                f"    {name}(Rest, [Entry | Seen]);\n{name}(<<>>, Seen) -> {{ok, lists:reverse(Seen)}};\n"
                f"{name}(Rest, Seen) -> {{more, byte_size(Rest), Seen}}.\n")
        if kind == 2:
            return [f"{name}/1"], (
                f"{name}(#item{{id = Id, value = X, tags = Tags}} = Item) ->\n    New = {x()},\n"
                f"    Kept = [Tag || {{Tag, true}} <- Tags, Tag =/= Id],\n    try check(New) of\n"
                f"        true -> Item#item{{value = New, tags = [{{Tag, true}} || Tag <- Kept]}};\n        false -> Item\n"
                f"    catch\n        error:badarg -> Item#item{{value = 0}};\n        throw:{{limit, Limit}} -> Item#item{{value = Limit}}\n    end.\n")
        if kind == 3:
            return [f"{name}/2"], (
                f"{name}(Map, X) when is_map(Map) ->\n    Fold = fun\n        (Key, Value, Sum) when is_integer(Value) -> Sum#{{Key => Value + {x()}}};\n"
                f"        (Key, Value, Sum) when is_list(Value) -> Sum#{{Key => lists:sum(Value)}};\n        (_, _, Sum) -> Sum\n    end,\n"
                f"    maps:fold(Fold, #{{start => {x()}}}, Map);\n{name}(List, X) ->\n"
                f"    {name}(maps:from_list([{{E, {x()}}} || E <- List, is_atom(E)]), X).\n")
        if kind == 4:
            return [f"{name}/3"], (
                f"{name}(Parent, Reference, X) ->\n    receive\n        {{Parent, Reference, stop}} -> ok;\n"
                f"        {{Parent, Reference, {{add, N}}}} -> {name}(Parent, Reference, X + N);\n"
                f"        {{From, get}} -> From ! {{self(), {x()}}}, {name}(Parent, Reference, X);\n"
                f"        Other -> logger:warning(\"~p ~p\", [?MODULE, Other]), {name}(Parent, Reference, {x()})\n"
                f"    after {self.random.randrange(100, 9000)} -> timeout\n    end.\n")
        if kind == 5:
            other = self.random.choice(others)
            return [f"{name}/1"], (
                f"-spec {name}(integer()) -> {{ok, term()}} | {{error, term()}}.\n{name}(X) ->\n"
                f"    case catch {other}:answer({x()}) of\n        {{ok, Value}} -> {{ok, {{?MODULE, Value, {x()}}}}};\n"
                f"        {{'EXIT', Reason}} -> {{error, Reason}};\n        Else -> {{error, {{unexpected, Else, {x()}}}}}\n    end.\n")
        return [f"{name}/1"], (
            f"{name}(X) ->\n    Text = io_lib:format(\"~p of ~p~n\", [{x()}, ?MODULE]),\n"
            f"    Lines = binary:split(iolist_to_binary(Text), <<\"\\n\">>, [global, trim]),\n"
            f"    lists:foldl(fun(Line, N) -> N + byte_size(Line) + {x()} end, {x()}, Lines).\n")

    def module(self, app, name, others, includes):
        lines_wanted = self.random.randrange(100, 400)
        exports, parts, lines = ["answer/1"], [], 0
        while lines < lines_wanted - 20:
            added, text = self.functions(name, len(parts), others)
            exports += added
            parts.append(f"%% @doc Part {len(parts)} of {name}.\n{text}\n")
            lines += parts[-1].count("\n")
        head = f"-module({name}).\n-export([{', '.join(exports)}]).\n-include(\"{app}.hrl\").\n"
        head += "".join(f"-include_lib(\"{dep}/include/{dep}.hrl\").\n" for dep in includes)
        body = "answer(X) when is_integer(X) -> {ok, X * ?FACTOR};\nanswer(_) -> {error, badarg}.\n\n"
        check = "check(N) when N > 1000000 -> throw({limit, 1000000});\ncheck(N) when N < 0 -> error(badarg);\ncheck(N) -> N > 0.\n"
        unused = "-compile([nowarn_unused_function, nowarn_unused_record, nowarn_unused_vars]).\n"
        return head + unused + "\n" + body + "".join(parts) + check


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def application(directory, app, modules, deps, extra=""):
    """Writes an application's sources."""
    writer = Writer(app)
    record = f"-define(FACTOR, {writer.random.randrange(2, 99)}).\n" if extra == "" else ""
    header = f"-ifndef({app}_hrl).\n-define({app}_hrl, true).\n-endif.\n"
    write(directory / "include" / f"{app}.hrl", header)
    private = f"-record(item, {{id, value = 0, tags = []}}).\n-define(FACTOR, {writer.random.randrange(2, 99)}).\n"
    write(directory / "src" / f"{app}.hrl", private)
    names = [app] + [f"{app}_{index}" for index in range(1, modules)]
    for name in names:
        includes = writer.random.sample(deps, min(len(deps), 2))
        write(directory / "src" / f"{name}.erl", writer.module(app, name, names + deps, includes))
    applications = ", ".join(["kernel", "stdlib", *deps])
    write(directory / "src" / f"{app}.app.src",
          f"{{application, {app}, [{{description, \"bench\"}}, {{vsn, \"1.0.0\"}}, {{registered, []}}, "
          f"{{applications, [{applications}]}}{extra}]}}.\n")


def deps_text(deps):
    return ", ".join(f"{{{dep}, {{git, \"{FORGE}{dep}.git\", {{tag, \"1.0.0\"}}}}}}" for dep in deps)


def git(*arguments, **options):
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_GLOBAL": "/dev/null",
                   "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C", "TZ": "UTC"}
    for who in ("AUTHOR", "COMMITTER"):
        environment |= {f"GIT_{who}_NAME": "bench", f"GIT_{who}_EMAIL": "bench@rebeam.test", f"GIT_{who}_DATE": DATE}
    subprocess.run(["git", *map(str, arguments)], check=True, env=environment, stdout=subprocess.DEVNULL, **options)


def committed(directory):
    """Makes the directory a repository of its own, whatever repository it stands in."""
    git("-c", "init.defaultBranch=main", "init", "-q", directory)
    git("-C", directory, "add", "-A")
    git("-C", directory, "commit", "-q", "-m", "bench")


def repository(directory, bare):
    committed(directory)
    git("-C", directory, "tag", "1.0.0")
    git("clone", "-q", "--bare", directory, bare)


def thirty(out):
    """Writes `out/project` and the repositories `out/git/NAME.git` that it depends on."""
    out = pathlib.Path(out)
    levels = names()
    draw = random.Random("graph")
    for level, (row, sizes) in enumerate(zip(levels, LEVELS)):
        for name, modules in zip(row, sizes):
            below = levels[level - 1] if level else []
            deps = sorted(draw.sample(below, min(len(below), draw.randrange(1, 4)))) if below else []
            work = out / "work" / name
            application(work, name, modules, deps)
            write(work / "rebar.config", f"{{erl_opts, [debug_info]}}.\n{{deps, [{deps_text(deps)}]}}.\n")
            repository(work, out / "git" / f"{name}.git")
    project = out / "project"
    every = [name for row in levels for name in row]
    application(project, "bench", APP_MODULES, every)
    write(project / "rebar.config",
          f"{{erl_opts, [debug_info]}}.\n{{deps, [{deps_text(every)}]}}.\n"
          "{relx, [{release, {bench, \"1.0.0\"}, [bench, sasl]}, {dev_mode, true}, {sys_config, \"config/sys.config\"}, "
          "{vm_args, \"config/vm.args\"}]}.\n"
          "{profiles, [{prod, [{relx, [{dev_mode, false}, {include_erts, true}, {include_src, false}]}]}]}.\n")
    write(project / "config/sys.config", "[].\n")
    write(project / "config/vm.args", "+Bd\n")
    write(project / "rebeam.toml",
          "[project]\nname = \"bench\"\nversion = \"1.0.0\"\n\n[toolchain]\notp = \"25\"\n\n"
          f"[mirrors]\n\"{FORGE}\" = \"../git/\"\n")
    write(project / ".gitignore", "_build\n*.tar\n")
    committed(project)
    return project
