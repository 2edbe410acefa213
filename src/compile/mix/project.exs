# Stands in for mix.exs, which it loads: every locked dependency lies ready, whatever mix.exs says of where it is from.
System.delete_env("MIX_EXS")

defmodule Rebeam.Locked do
  @moduledoc false
  @behaviour Mix.SCM

  def fetchable?, do: true
  def format(_opts), do: "locked by rebeam"
  def format_lock(_opts), do: nil

  def accepts_options(app, opts) do
    cond do
      Atom.to_string(app) in names() -> Keyword.delete(opts, :path)
      opts[:path] || opts[:in_umbrella] -> nil
      true -> opts
    end
  end

  def checked_out?(opts), do: File.dir?(opts[:dest])
  def checkout(_opts), do: Mix.raise("rebeam has locked what there is")
  def update(_opts), do: Mix.raise("rebeam has locked what there is")
  def lock_status(_opts), do: :ok
  def equal?(_one, _other), do: true
  def managers(_opts), do: []

  defp names, do: "/build/.rebeam/locked" |> File.read!() |> String.split()
end

Mix.SCM.prepend(Rebeam.Locked)

release = fn options ->
  # ERTS, OTP and the lean modules are the image's matter, and a cookie that is the same for all protects nobody.
  ours = [include_erts: false, strip_beams: false, quiet: true, overwrite: true]
  ours = [cookie: "none", include_executables_for: [:unix]] ++ ours
  if is_function(options, 0),
    do: fn -> Keyword.merge(options.(), ours) end,
    else: Keyword.merge(options, ours)
end

if System.get_env("REBEAM_STAGE") == "release" do
  Code.compile_file("mix.exs")
  project = Mix.Project.get!()
  config = Mix.Project.config()
  named =
    case config[:releases] || [] do
      [] -> if config[:app], do: [{config[:app], []}], else: []
      some -> some
    end
  Mix.Project.pop()
  Mix.ProjectStack.post_config(releases: for({name, options} <- named, do: {name, release.(options)}))
  Mix.Project.push(project, Path.expand("mix.exs"))
else
  Mix.ProjectStack.post_config(config_path: "/build/.rebeam/config.exs")
  Code.compile_file("mix.exs")
end
