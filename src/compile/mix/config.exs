# What the project's configuration says of this dependency and of those that it needs.
import Config

for line <- File.stream!("/build/.rebeam/config"), [app, values] = String.split(line) do
  config String.to_atom(app), :erlang.binary_to_term(Base.decode64!(values))
end
