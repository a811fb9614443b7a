package gateway

import (
	"net/http"
	"time"

	"github.com/marketprism/marketprism/actors/gateway/access"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/internal/identity"
)

type userView struct {
	Name     string        `json:"name" required:"true"`
	Role     identity.Role `json:"role" required:"true" doc:"reader, writer, operator or admin: each may do what those before it may"`
	Disabled bool          `json:"disabled" required:"true" doc:"refused, live tokens included"`
	Created  time.Time     `json:"created_at" required:"true"`
	Changed  time.Time     `json:"password_changed_at" required:"true"`
}

type userList struct {
	Users []userView `json:"users" required:"true"`
	Total int        `json:"total" required:"true"`
}

type userRequest struct {
	Name     string `json:"name" required:"true" maxLength:"64" doc:"a-z, 0-9 and . _ - @ +" example:"alice"`
	Password string `json:"password" required:"true" maxLength:"1024" doc:"as long as api-gateway-service.auth.password.min_length at least, and not the name"`
	Role     string `json:"role" required:"true" enum:"reader,writer,operator,admin" doc:"each may do what those before it may"`
}

type userPatch struct {
	Password *string `json:"password" maxLength:"1024" doc:"ends all logins of the user"`
	Role     *string `json:"role" enum:"reader,writer,operator,admin" doc:"absent: it stays"`
	Disabled *bool   `json:"disabled" doc:"a disabled user is refused at once, live tokens included"`
}

type keyView struct {
	ID      string           `json:"id" required:"true" doc:"16 hex digits, the part of the key that is no secret"`
	Name    string           `json:"name" required:"true" doc:"what it is for"`
	Role    identity.Role    `json:"role" required:"true" doc:"reader, writer, operator or admin: each may do what those before it may"`
	Scopes  []identity.Scope `json:"scopes" required:"true" doc:"SERVICE:ROLE; none is every service"`
	Owner   string           `json:"owner" required:"true" doc:"who made it"`
	Created time.Time        `json:"created_at" required:"true"`
	Expires *time.Time       `json:"expires_at" doc:"null is never"`
	Used    *time.Time       `json:"last_used_at" doc:"to the minute; null is never"`
}

type keyList struct {
	Keys  []keyView `json:"apikeys" required:"true"`
	Total int       `json:"total" required:"true"`
}

type keyRequest struct {
	Name    string   `json:"name" required:"true" maxLength:"100" doc:"what it is for" example:"research notebook"`
	Role    string   `json:"role" required:"true" enum:"reader,writer,operator,admin" doc:"at most that of who makes it"`
	Scopes  []string `json:"scopes" maxLength:"16" doc:"SERVICE or SERVICE:ROLE; none is every service" example:"data-storage-service:reader"`
	Expires int64    `json:"expires_in_seconds" minimum:"0" maximum:"315000000" doc:"0 is never"`
}

type keyAnswer struct {
	keyView
	Key string `json:"key" required:"true" doc:"the key itself: it is shown this once"`
}

func (f *service) adminRoutes() []chassis.Route {
	user, key := authBase+"users/{name}", authBase+"apikeys/{id}"
	done := []chassis.Response{{Body: doneAnswer{}}}
	return []chassis.Route{
		{Method: http.MethodGet, Path: authBase + "users", ID: "users", Tag: tagAuth, Summary: "List users",
			Responses: []chassis.Response{{Body: userList{}}}, Handler: f.users},
		{Method: http.MethodPost, Path: authBase + "users", ID: "addUser", Tag: tagAuth, Summary: "Add a user",
			Request: userRequest{}, Responses: []chassis.Response{{Body: userView{}}}, BodyLimit: 8 << 10, Handler: f.addUser},
		{Method: http.MethodPatch, Path: user, ID: "changeUser", Tag: tagAuth, Summary: "Change a user's password or role, disable or enable",
			Request: userPatch{}, Responses: []chassis.Response{{Body: userView{}}}, BodyLimit: 8 << 10, Handler: f.changeUser},
		{Method: http.MethodDelete, Path: user, ID: "removeUser", Tag: tagAuth, Summary: "Remove a user", Responses: done, Handler: f.removeUser},
		{Method: http.MethodGet, Path: authBase + "apikeys", ID: "apiKeys", Tag: tagAuth, Summary: "List API keys",
			Responses: []chassis.Response{{Body: keyList{}}}, Handler: f.keys},
		{Method: http.MethodPost, Path: authBase + "apikeys", ID: "createAPIKey", Tag: tagAuth, Summary: "Create an API key",
			Request: keyRequest{}, Responses: []chassis.Response{{Body: keyAnswer{}}}, BodyLimit: 8 << 10, Handler: f.createKey},
		{Method: http.MethodDelete, Path: key, ID: "revokeAPIKey", Tag: tagAuth, Summary: "Revoke an API key", Responses: done, Handler: f.revokeKey},
	}
}

func viewUser(u access.User) userView {
	return userView{Name: u.Name, Role: u.Role, Disabled: u.Disabled, Created: u.Created, Changed: u.Changed}
}

func (f *service) users(w http.ResponseWriter, r *http.Request) error {
	out := userList{Users: []userView{}}
	for _, u := range f.Logins.Users() {
		out.Users = append(out.Users, viewUser(u))
	}
	out.Total = len(out.Users)
	return chassis.WriteJSON(w, r, http.StatusOK, out)
}

func (f *service) addUser(w http.ResponseWriter, r *http.Request) error {
	var in userRequest
	if err := chassis.Decode(r, &in); err != nil {
		return err
	}
	role, err := identity.ParseRole(in.Role)
	if err != nil {
		return chassis.Unprocessable(chassis.Field("/role", "%v", err))
	}
	u, err := f.Logins.AddUser(r.Context(), f.by(r), in.Name, in.Password, role)
	if err != nil {
		return refusal(err)
	}
	return chassis.WriteJSON(w, r, http.StatusOK, viewUser(u))
}

func (f *service) changeUser(w http.ResponseWriter, r *http.Request) error {
	name, err := chassis.PathParam(r, "name")
	if err != nil {
		return err
	}
	var in userPatch
	if err := chassis.Decode(r, &in); err != nil {
		return err
	}
	change := access.UserChange{Password: in.Password, Disabled: in.Disabled}
	if in.Role != nil {
		role, err := identity.ParseRole(*in.Role)
		if err != nil {
			return chassis.Unprocessable(chassis.Field("/role", "%v", err))
		}
		change.Role = &role
	}
	if change == (access.UserChange{}) {
		return chassis.Unprocessable(chassis.Field("", "must name password, role or disabled"))
	}
	u, err := f.Logins.ChangeUser(r.Context(), f.by(r), name, change)
	if err != nil {
		return refusal(err)
	}
	return chassis.WriteJSON(w, r, http.StatusOK, viewUser(u))
}

func (f *service) removeUser(w http.ResponseWriter, r *http.Request) error {
	name, err := chassis.PathParam(r, "name")
	if err == nil {
		err = refusal(f.Logins.RemoveUser(r.Context(), f.by(r), name))
	}
	if err != nil {
		return err
	}
	return chassis.WriteJSON(w, r, http.StatusOK, doneAnswer{true, "user " + name + " is removed"})
}

func viewKey(k access.Key) keyView {
	v := keyView{ID: k.ID, Name: k.Name, Role: k.Role, Scopes: k.Scopes, Owner: k.Owner, Created: k.Created}
	if !k.Expires.IsZero() {
		v.Expires = &k.Expires
	}
	if !k.Used.IsZero() {
		v.Used = &k.Used
	}
	return v
}

func (f *service) keys(w http.ResponseWriter, r *http.Request) error {
	out := keyList{Keys: []keyView{}}
	for _, k := range f.Logins.Keys() {
		out.Keys = append(out.Keys, viewKey(k))
	}
	out.Total = len(out.Keys)
	return chassis.WriteJSON(w, r, http.StatusOK, out)
}

func (f *service) createKey(w http.ResponseWriter, r *http.Request) error {
	var in keyRequest
	if err := chassis.Decode(r, &in); err != nil {
		return err
	}
	role, err := identity.ParseRole(in.Role)
	if err != nil {
		return chassis.Unprocessable(chassis.Field("/role", "%v", err))
	}
	k, key, err := f.Logins.CreateKey(r.Context(), f.by(r), access.KeyRequest{
		Name: in.Name, Role: role, Scopes: in.Scopes, TTL: time.Duration(in.Expires) * time.Second,
	})
	if err != nil {
		return refusal(err)
	}
	return chassis.WriteJSON(w, r, http.StatusOK, keyAnswer{viewKey(k), key})
}

func (f *service) revokeKey(w http.ResponseWriter, r *http.Request) error {
	id, err := chassis.PathParam(r, "id")
	if err == nil {
		err = refusal(f.Logins.RevokeKey(r.Context(), f.by(r), id))
	}
	if err != nil {
		return err
	}
	return chassis.WriteJSON(w, r, http.StatusOK, doneAnswer{true, "API key " + id + " is revoked"})
}
