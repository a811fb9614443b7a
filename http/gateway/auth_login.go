package gateway

import (
	"net/http"
	"strings"
	"time"

	"github.com/marketprism/marketprism/actors/gateway/access"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/internal/identity"
)

const (
	authBase = apiBase + "auth/"
	tagAuth  = "authentication"
)

type loginRequest struct {
	Username string `json:"username" required:"true" maxLength:"64" example:"admin"`
	Password string `json:"password" required:"true" maxLength:"1024"`
	Cookie   bool   `json:"cookie" doc:"sets the access token as a cookie too, for pages that follow events"`
}

type refreshRequest struct {
	Refresh string `json:"refresh_token" required:"true" maxLength:"256" doc:"of a login, or of the refresh before"`
	Cookie  bool   `json:"cookie" doc:"as of a login"`
}

type logoutRequest struct {
	Refresh string `json:"refresh_token" maxLength:"256" doc:"of the login that is to end; absent: that of the access token"`
}

type loginUser struct {
	Name string        `json:"name" required:"true"`
	Role identity.Role `json:"role" required:"true" doc:"reader, writer, operator or admin"`
}

type loginAnswer struct {
	Access         string    `json:"access_token" required:"true" doc:"to be sent as Authorization: Bearer"`
	Type           string    `json:"token_type" required:"true" enum:"Bearer"`
	Expires        float64   `json:"expires_in" required:"true" doc:"seconds"`
	Refresh        string    `json:"refresh_token" required:"true" doc:"works once; using it twice ends the login"`
	RefreshExpires float64   `json:"refresh_expires_in" required:"true" doc:"seconds"`
	User           loginUser `json:"user" required:"true"`
}

type meAnswer struct {
	Subject string           `json:"subject" required:"true" doc:"name of the user (ISSUER#SUBJECT of one that another provider knows), id of the API key, or name of the service or node"`
	Kind    identity.Kind    `json:"kind" required:"true" enum:"user,apikey,service,node,anonymous" doc:"anonymous: nobody says who sends it"`
	Role    identity.Role    `json:"role" required:"true" doc:"none, reader, writer, operator or admin: each may do what those before it may"`
	Scopes  []identity.Scope `json:"scopes" required:"true" doc:"SERVICE:ROLE; none is every service"`
	Expires *time.Time       `json:"expires_at" doc:"null is never"`
}

type passwordRequest struct {
	Current string `json:"current_password" required:"true" maxLength:"1024"`
	Next    string `json:"new_password" required:"true" maxLength:"1024" doc:"as long as api-gateway-service.auth.password.min_length at least, and not the name"`
}

type doneAnswer struct {
	Success bool   `json:"success" required:"true"`
	Message string `json:"message" required:"true"`
}

func (f *service) loginRoutes() []chassis.Route {
	tokens := []chassis.Response{{Body: loginAnswer{}}}
	done := []chassis.Response{{Body: doneAnswer{}}}
	return []chassis.Route{
		{Method: http.MethodPost, Path: authBase + "login", ID: "login", Tag: tagAuth, Summary: "Log in with a password",
			Request: loginRequest{}, Responses: tokens, BodyLimit: 8 << 10, Handler: f.login},
		{Method: http.MethodPost, Path: authBase + "refresh", ID: "refreshLogin", Tag: tagAuth, Summary: "Renew a login",
			Request: refreshRequest{}, Responses: tokens, BodyLimit: 8 << 10, Handler: f.refresh},
		{Method: http.MethodPost, Path: authBase + "logout", ID: "logout", Tag: tagAuth, Summary: "End a login",
			Request: logoutRequest{}, Optional: true, Responses: done, BodyLimit: 8 << 10, Handler: f.logout},
		{Method: http.MethodPost, Path: authBase + "password", ID: "ownPassword", Tag: tagAuth, Summary: "Set another password of one's own",
			Description: "Ends all logins of the user.", Request: passwordRequest{}, Responses: done, BodyLimit: 8 << 10, Handler: f.ownPassword},
		{Method: http.MethodGet, Path: authBase + "me", ID: "whoAmI", Tag: tagAuth, Summary: "Who sends this request",
			Responses: []chassis.Response{{Body: meAnswer{}}}, Handler: f.me},
	}
}

// from is where a request comes from, for the desk.
func (f *service) from(r *http.Request) access.Client {
	return access.Client{
		Address: f.clientAddress(r).String(), RequestID: chassis.RequestID(r.Context()), TraceID: chassis.TraceFrom(r.Context()).TraceHex(),
	}
}

// by is who asks, and from where.
func (f *service) by(r *http.Request) access.Act {
	p, ok := identity.From(r.Context())
	if !ok {
		p = identity.Nobody()
	}
	return access.Act{By: p, From: f.from(r)}
}

func (f *service) login(w http.ResponseWriter, r *http.Request) error {
	var in loginRequest
	if err := chassis.Decode(r, &in); err != nil {
		return err
	}
	t, err := f.Logins.Login(r.Context(), in.Username, in.Password, f.from(r))
	if err != nil {
		return refusal(err)
	}
	return f.answerTokens(w, r, t, in.Cookie)
}

func (f *service) refresh(w http.ResponseWriter, r *http.Request) error {
	var in refreshRequest
	if err := chassis.Decode(r, &in); err != nil {
		return err
	}
	t, err := f.Logins.Refresh(r.Context(), in.Refresh, f.from(r))
	if err != nil {
		return refusal(err)
	}
	return f.answerTokens(w, r, t, in.Cookie)
}

func (f *service) answerTokens(w http.ResponseWriter, r *http.Request, t access.Tokens, cookie bool) error {
	now := f.Now()
	if cookie {
		http.SetCookie(w, &http.Cookie{
			Name: cookieName, Value: t.Access, Path: "/", Expires: t.Expires, HttpOnly: true, Secure: f.overTLS(r), SameSite: http.SameSiteStrictMode,
		})
	}
	return chassis.WriteJSON(w, r, http.StatusOK, loginAnswer{
		Access: t.Access, Type: "Bearer", Expires: t.Expires.Sub(now).Seconds(), Refresh: t.Refresh,
		RefreshExpires: t.Renewable.Sub(now).Seconds(), User: loginUser{t.User.Name, t.User.Role},
	})
}

// overTLS says whether the client has come by TLS: to this server, or to the proxy in
// front of it.
func (f *service) overTLS(r *http.Request) bool {
	return r.TLS != nil || f.trusted(peer(r)) && strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}

func (f *service) logout(w http.ResponseWriter, r *http.Request) error {
	var in logoutRequest
	if r.ContentLength != 0 {
		if err := chassis.Decode(r, &in); err != nil {
			return err
		}
	}
	who := f.by(r)
	if in.Refresh == "" && who.By.Session == "" {
		return chassis.BadRequest("there is no login to end: show its access token, or send its refresh_token")
	}
	if err := f.Logins.Logout(r.Context(), who.By.Session, in.Refresh, who.From); err != nil {
		return refusal(err)
	}
	http.SetCookie(w, &http.Cookie{Name: cookieName, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode})
	return chassis.WriteJSON(w, r, http.StatusOK, doneAnswer{true, "the login has ended"})
}

func (f *service) ownPassword(w http.ResponseWriter, r *http.Request) error {
	var in passwordRequest
	if err := chassis.Decode(r, &in); err != nil {
		return err
	}
	if err := f.Logins.OwnPassword(r.Context(), f.by(r), in.Current, in.Next); err != nil {
		return refusal(err)
	}
	return chassis.WriteJSON(w, r, http.StatusOK, doneAnswer{true, "the password is set; log in again"})
}

func (f *service) me(w http.ResponseWriter, r *http.Request) error {
	p := f.by(r).By
	answer := meAnswer{Subject: p.Subject, Kind: p.Kind, Role: p.Role, Scopes: p.Scopes}
	if !p.Expiry.IsZero() {
		answer.Expires = &p.Expiry
	}
	return chassis.WriteJSON(w, r, http.StatusOK, answer)
}
