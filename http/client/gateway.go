package client

import (
	"context"
	"net/http"
)

// Gateway is the api-gateway-service: logins, users, API keys, and the services behind it.
type Gateway struct{ c *Client }

const authPath = "/api/v1/auth"

// Login logs in with a password. The client itself does so by [Config.Username].
func (g *Gateway) Login(ctx context.Context, username, password string) (Login, error) {
	return g.open(ctx, "/login", map[string]string{"username": username, "password": password})
}

// Refresh renews a login by its refresh token, which works once.
func (g *Gateway) Refresh(ctx context.Context, token string) (Login, error) {
	return g.open(ctx, "/refresh", map[string]string{"refresh_token": token})
}

// open asks for a login, without a credential.
func (g *Gateway) open(ctx context.Context, path string, body any) (l Login, err error) {
	r, err := order(GatewayService, http.MethodPost, authPath+path, body)
	if err != nil {
		return l, err
	}
	r.open = true
	return l, g.c.call(ctx, r, &l)
}

// Logout ends the login of a refresh token; "" that of the client's own access token.
func (g *Gateway) Logout(ctx context.Context, token string) error {
	body := map[string]string{}
	if token != "" {
		body["refresh_token"] = token
	}
	_, err := g.done(ctx, http.MethodPost, authPath+"/logout", body)
	return err
}

// SetPassword sets another password of one's own, and ends all logins.
func (g *Gateway) SetPassword(ctx context.Context, current, next string) error {
	_, err := g.done(ctx, http.MethodPost, authPath+"/password", map[string]string{"current_password": current, "new_password": next})
	return err
}

// Me tells who asks.
func (g *Gateway) Me(ctx context.Context) (i Identity, err error) {
	return i, g.c.call(ctx, get(GatewayService, authPath+"/me", nil), &i)
}

// Users lists the users.
func (g *Gateway) Users(ctx context.Context) ([]User, error) {
	var answer struct {
		Users []User `json:"users"`
	}
	err := g.c.call(ctx, get(GatewayService, authPath+"/users", nil), &answer)
	return answer.Users, err
}

// AddUser adds a user.
func (g *Gateway) AddUser(ctx context.Context, u NewUser) (User, error) {
	return g.user(ctx, http.MethodPost, authPath+"/users", u)
}

// ChangeUser changes a user.
func (g *Gateway) ChangeUser(ctx context.Context, name string, u UserChange) (User, error) {
	return g.user(ctx, http.MethodPatch, join(authPath+"/users", name), u)
}

func (g *Gateway) user(ctx context.Context, method, path string, body any) (u User, err error) {
	r, err := order(GatewayService, method, path, body)
	if err != nil {
		return u, err
	}
	return u, g.c.call(ctx, r, &u)
}

// Done is what the gateway says of something that it has done.
type Done struct {
	Success bool   `json:"success"`
	Message string `json:"message"`
}

// RemoveUser removes a user, and ends the user's logins.
func (g *Gateway) RemoveUser(ctx context.Context, name string) (Done, error) {
	return g.done(ctx, http.MethodDelete, join(authPath+"/users", name), nil)
}

func (g *Gateway) done(ctx context.Context, method, path string, body any) (d Done, err error) {
	r, err := order(GatewayService, method, path, body)
	if err != nil {
		return d, err
	}
	return d, g.c.call(ctx, r, &d)
}

// APIKeys lists the API keys.
func (g *Gateway) APIKeys(ctx context.Context) ([]APIKey, error) {
	var answer struct {
		Keys []APIKey `json:"apikeys"`
	}
	err := g.c.call(ctx, get(GatewayService, authPath+"/apikeys", nil), &answer)
	return answer.Keys, err
}

// CreateAPIKey creates an API key; the key itself is told this once.
func (g *Gateway) CreateAPIKey(ctx context.Context, k NewAPIKey) (c CreatedKey, err error) {
	r, err := order(GatewayService, http.MethodPost, authPath+"/apikeys", k)
	if err != nil {
		return c, err
	}
	return c, g.c.call(ctx, r, &c)
}

// RevokeAPIKey ends an API key.
func (g *Gateway) RevokeAPIKey(ctx context.Context, id string) (Done, error) {
	return g.done(ctx, http.MethodDelete, join(authPath+"/apikeys", id), nil)
}

// Services tells which services requests can be sent to, by their names.
func (g *Gateway) Services(ctx context.Context) (map[string]Service, error) {
	var answer struct {
		Services map[string]Service `json:"services"`
	}
	err := g.c.call(ctx, get(GatewayService, "/api/v1/gateway/services", nil), &answer)
	return answer.Services, err
}
