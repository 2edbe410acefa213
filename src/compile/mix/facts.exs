# Says what the mix.exs in the working directory states, as Erlang terms. The argument is `project`
# for the project itself, with its own applications and its configuration, or `dep`.
Mix.start()
Code.put_compiler_option(:no_warn_undefined, :all)

defmodule Rebeam.Facts do
  @kept [:only, :targets, :optional, :override, :runtime, :manager, :compile, :app, :env] ++
          [:git, :github, :tag, :branch, :ref, :sparse, :subdir, :submodules] ++
          [:path, :in_umbrella, :hex, :organization, :repo]

  def project(root) do
    config = Mix.Project.config()
    umbrella = Mix.Project.apps_paths() || %{}
    parent = config[:app] || :"the umbrella"
    own = for {app, path} <- Enum.sort(umbrella), do: {app, Path.expand(path), :umbrella}
    [
      {:project, config[:app] || :undefined, version(config[:version])},
      {:releases, releases(config)}
    ] ++ deps(parent, config, own, root) ++ configuration(config)
  end

  def dep do
    config = Mix.Project.config()
    [{:project, config[:app], version(config[:version])}] ++ named(config[:app], config)
  end

  defp version(version), do: to_string(version || "")

  defp releases(config) do
    for {name, _} <- config[:releases] || [], do: name
  end

  defp named(parent, config) do
    for dep <- config[:deps] || [], do: plain(parent, dep)
  end

  # The project's own applications are those of the umbrella, and every directory inside the project that one of them
  # depends on.
  defp deps(parent, config, own, root, seen \\ MapSet.new()) do
    here = named(parent, config)
    inside = for {:dep, _, app, _, opts} <- here, path = inside(opts, root), do: {app, path, :path}
    next = Enum.reject(own ++ inside, fn {app, _, _} -> MapSet.member?(seen, app) end)
    seen = Enum.reduce(next, seen, fn {app, _, _}, seen -> MapSet.put(seen, app) end)
    below =
      for {app, path, kind} <- Enum.uniq_by(next, &elem(&1, 0)) do
        facts =
          if File.regular?(Path.join(path, "mix.exs")) do
            Mix.Project.in_project(app, path, [], fn _ -> deps(app, Mix.Project.config(), [], root, seen) end)
          else
            []
          end
        [{:own, app, Path.relative_to(path, root), kind} | facts]
      end
    here ++ Enum.concat(below)
  end

  defp inside(opts, root) do
    path = opts[:path]
    path = path && Path.expand(path)
    if path && not Keyword.get(opts, :in_umbrella, false) && String.starts_with?(path, root <> "/"), do: path
  end

  defp plain(parent, {app, opts}) when is_list(opts), do: plain(parent, {app, nil, opts})
  defp plain(parent, {app, requirement}), do: plain(parent, {app, requirement, []})

  defp plain(parent, {app, requirement, opts}) do
    kept = for {key, value} <- opts, key in @kept, do: {key, value(key, value)}
    {:dep, parent, app, requirement(requirement), kept}
  end

  defp requirement(nil), do: :none
  defp requirement(%Regex{} = regex), do: {:regex, Regex.source(regex)}
  defp requirement(requirement), do: to_string(requirement)

  defp value(_key, value) when is_atom(value) or is_binary(value), do: value
  defp value(_key, value) when is_list(value), do: if(Enum.all?(value, &is_atom/1), do: value, else: to_string(value))
  defp value(_key, value), do: inspect(value)

  defp configuration(config) do
    path = config[:config_path]
    read = if path && File.regular?(path), do: Config.Reader.read!(path, env: Mix.env(), target: Mix.target()), else: []
    for {app, values} <- Enum.sort(read) do
      {:config, app, Base.encode64(:erlang.term_to_binary(values, [:deterministic]))}
    end
  end
end

[kind] = System.argv()
Code.compile_file("mix.exs")
facts = if kind == "project", do: Rebeam.Facts.project(File.cwd!()), else: Rebeam.Facts.dep()
File.mkdir_p!("/build/.evaluated")
text = for fact <- facts, do: :io_lib.format("~tp.~n", [fact])
File.write!("/build/.evaluated/mix.terms", IO.chardata_to_string(["%% coding: utf-8\n", text]))
