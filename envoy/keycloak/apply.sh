#!/usr/bin/env bash
# apply.sh FILE REALM: adds what FILE (customers-realm.json or admins-realm.json) holds to a realm that exists: roles, clients, client scopes,
# user attributes, browser flow, settings. It adds and never removes, and ends at the first thing that is there already. Try it on a copy.
#
# Needs jq, and Keycloak's kcadm.sh in the PATH, signed in: kcadm.sh config credentials --server URL --realm master --user ADMIN
set -euo pipefail
file=$1 realm=$2

get() { jq -c "$@" "$file"; }
create() { kcadm.sh create "$1" -r "$realm" "${@:2}"; }
id() { kcadm.sh get "$1" -r "$realm" --fields "id,$2" --format csv --noquotes | sed -n "s/,$3\$//p"; }
url() { jq -rn --arg text "$1" '$text | @uri'; }

get '.roles.realm[]' | while read -r role; do create roles -f - <<<"$role"; done

# The clients of Keycloak itself are there.
ours='.clients[] | select(.clientId | test("^(account|account-console|security-admin-console|admin-cli)$") | not)'
get "$ours | select(.bearerOnly)" | while read -r client; do create clients -f - <<<"$client"; done
app=$(get -r "$ours | select(.bearerOnly) | .clientId")
app_id=$(id clients clientId "$app")
get --arg app "$app" '.roles.client[$app][]' | while read -r role; do create "clients/$app_id/roles" -f - <<<"$role"; done

get '.clientScopes[] | select(.name | startswith("portaswitch"))' | while read -r scope; do create client-scopes -f - <<<"$scope"; done
roles=client-scopes/$(id client-scopes name portaswitch-roles)/scope-mappings
for role in $(get -r '.scopeMappings[].roles[]'); do kcadm.sh get "roles/$role" -r "$realm"; done | jq -s . | create "$roles/realm" -f -
kcadm.sh get "clients/$app_id/roles" -r "$realm" | create "$roles/clients/$app_id" -f -
get "$ours | select(.bearerOnly | not)" | while read -r client; do create clients -f - <<<"$client"; done

# The flow: outer flows come before inner ones in the file.
require() { # FLOW EXECUTION-ID REQUIREMENT
  kcadm.sh get "authentication/flows/$(url "$1")/executions" -r "$realm" |
    jq --arg id "$2" --arg requirement "$3" '.[] | select(.id == $id or .flowId == $id) | .requirement = $requirement' |
    kcadm.sh update "authentication/flows/$(url "$1")/executions" -r "$realm" -f -
}
get '.authenticationFlows[]' | while read -r flow; do
  alias=$(jq -r .alias <<<"$flow")
  [[ $(jq .topLevel <<<"$flow") == false ]] || create authentication/flows -f - <<<"$(jq 'del(.authenticationExecutions)' <<<"$flow")"
  jq -c '.authenticationExecutions[]' <<<"$flow" | while read -r execution; do
    executions=authentication/flows/$(url "$alias")/executions
    requirement=$(jq -r .requirement <<<"$execution")
    if inner=$(jq -er .flowAlias <<<"$execution"); then
      require "$alias" "$(create "$executions/flow" -i -s alias="$inner" -s type=basic-flow)" "$requirement"
      continue
    fi
    step=$(create "$executions/execution" -i -s provider="$(jq -r .authenticator <<<"$execution")")
    require "$alias" "$step" "$requirement"
    ! config=$(jq -er .authenticatorConfig <<<"$execution") ||
      get --arg alias "$config" '.authenticatorConfig[] | select(.alias == $alias)' | create "authentication/executions/$step/config" -f -
  done
done

# The ids of PortaSwitch, for administrators alone to write, and no attribute that is not listed.
kcadm.sh get users/profile -r "$realm" |
  jq --argjson ours "$(get '.components[][0].config["kc.user.profile.config"][0] | fromjson | .attributes | map(select(.name | startswith("i_")))')" \
    '.attributes += $ours | del(.unmanagedAttributePolicy)' | kcadm.sh update users/profile -r "$realm" -f -

get '.requiredActions // [] | .[] | select(.defaultAction)' | while read -r action; do
  kcadm.sh update "authentication/required-actions/$(jq -r .alias <<<"$action")" -r "$realm" -f - <<<"$action"
done
get '. as $file | with_entries(select(.value | type | . != "array" and . != "object")) | del(.realm, .displayName) + {attributes: $file.attributes}' |
  kcadm.sh update "realms/$realm" -m -f -
