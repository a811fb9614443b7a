package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// reference is what docs/api says of a service, which a test of the documents holds
// against the service itself.
type reference struct {
	operations map[string]operation // by verb and path
	bodies     map[string]map[string]string
}

type operation struct {
	path       *regexp.Regexp
	parameters []string
	takes      string // name of the body that it takes
}

var (
	heading   = regexp.MustCompile(`(?m)^### (GET|POST|PUT|PATCH|DELETE) (\S+)$`)
	variable  = regexp.MustCompile(`\{[^}]+\}`)
	parameter = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (?:query|header) \\|")
	takes     = regexp.MustCompile(`(?m)^Takes \[(\w+)\]`)
	body      = regexp.MustCompile(`(?m)^### (\w+)$`)
	field     = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (.*?) \\|")
)

func readReference(t *testing.T, service string) *reference {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../docs/api", service+".md"))
	if err != nil {
		t.Fatal(err)
	}
	operations, bodies, ok := strings.Cut(string(text), "\n## Bodies\n")
	if !ok {
		t.Fatalf("%s.md has another form", service)
	}
	r := &reference{operations: map[string]operation{}, bodies: map[string]map[string]string{}}
	sections(operations, heading, func(m []string, section string) {
		var o operation
		o.path = regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(variable.ReplaceAllString(m[2], "\x00")), "\x00", "[^/]+") + "$")
		for _, p := range parameter.FindAllStringSubmatch(section, -1) {
			o.parameters = append(o.parameters, p[1])
		}
		if m := takes.FindStringSubmatch(section); m != nil {
			o.takes = m[1]
		}
		r.operations[m[1]+" "+m[2]] = o
	})
	sections(bodies, body, func(m []string, section string) {
		fields := map[string]string{}
		for _, f := range field.FindAllStringSubmatch(section, -1) {
			fields[f[1]] = f[2]
		}
		r.bodies[m[1]] = fields
	})
	return r
}

// sections cuts a text at headings.
func sections(text string, at *regexp.Regexp, each func(heading []string, section string)) {
	found := at.FindAllStringSubmatchIndex(text, -1)
	for i, m := range found {
		end := len(text)
		if i+1 < len(found) {
			end = found[i+1][0]
		}
		words := []string{text[m[0]:m[1]]}
		for g := 2; g < len(m); g += 2 {
			words = append(words, text[m[g]:m[g+1]])
		}
		each(words, text[m[1]:end])
	}
}

// asked is a Doer that notes what is asked, and answers nothing of use.
type asked struct {
	mu   sync.Mutex
	last *http.Request
	body []byte
}

func (a *asked) Do(r *http.Request) (*http.Response, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last, a.body = r, nil
	if r.Body != nil {
		a.body, _ = io.ReadAll(r.Body)
	}
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{}, Request: r, Trailer: http.Header{"X-Row-Count": {"0"}},
		Body: io.NopCloser(strings.NewReader("{}")),
	}, nil
}

// calls are the methods of a part, each with arguments that fill every parameter.
type calls map[string]func(context.Context) error

func first[T any](rows func(func(T, error) bool)) error {
	for _, err := range rows {
		return err
	}
	return nil
}

func just[T any](_ T, err error) error { return err }

// everyCall is each method that asks a service, by part and name.
func everyCall(c *Client) map[string]calls {
	at, q := time.Unix(1700000000, 0), Query{
		Kind: "trade", Exchange: "x/y", Symbol: "a b", Market: "spot", From: time.Unix(1, 0), To: time.Unix(2, 0), Limit: 3, Newest: true,
		Fields: []string{"id"}, Origin: "all", Tier: "hot", Exact: true, Cursor: "c",
	}
	s, sch, col, gw, mon, br := c.Storage, c.Scheduler, c.Collector, c.Gateway, c.Monitoring, c.Broker
	span, task := Span{at, at.Add(time.Hour)}, &ClaimedTask{Task: Task{TaskID: "1/2"}, Token: "t"}
	return map[string]calls{
		StorageService: {
			"Query": func(ctx context.Context) error {
				a, err := s.Query(ctx, q, FormatLines)
				if err == nil {
					err = a.Close()
				}
				return err
			},
			"Candles":      func(ctx context.Context) error { return just(s.Candles(ctx, q, "7m")) },
			"Streams":      func(ctx context.Context) error { return just(s.Streams(ctx, "trade", "x")) },
			"Tally":        func(ctx context.Context) error { return just(s.Tally(ctx, q, 24*time.Hour)) },
			"Parts":        func(ctx context.Context) error { return just(s.Parts(ctx, "trade", "cold")) },
			"Stats":        func(ctx context.Context) error { return just(s.Stats(ctx)) },
			"Status":       func(ctx context.Context) error { return just(s.Status(ctx)) },
			"ResumeTable":  func(ctx context.Context) error { return just(s.ResumeTable(ctx, "trades")) },
			"StoreTrades":  func(ctx context.Context) error { return just(s.StoreTrades(ctx, NewTrade{Market: "spot"})) },
			"StoreTickers": func(ctx context.Context) error { return just(s.StoreTickers(ctx, NewTicker{Market: "spot"})) },
			"StoreOrderbooks": func(ctx context.Context) error {
				return just(s.StoreOrderbooks(ctx, NewOrderbook{Market: "spot"}))
			},
			"StoreTradeLines": func(ctx context.Context) error { return just(s.StoreTradeLines(ctx, NewTrade{Market: "spot"})) },
			"Archive":         func(ctx context.Context) error { return just(s.Archive(ctx, time.Hour, "trade")) },
			"Cleanup":         func(ctx context.Context) error { return just(s.Cleanup(ctx, time.Hour)) },
			"Operations": func(ctx context.Context) error {
				_, _, err := s.Operations(ctx, 5)
				return err
			},
			"Operation":    func(ctx context.Context) error { return just(s.Operation(ctx, "1/2")) },
			"Journal":      func(ctx context.Context) error { return just(s.Journal(ctx)) },
			"Readers":      func(ctx context.Context) error { return just(s.Readers(ctx)) },
			"RetireReader": func(ctx context.Context) error { return just(s.RetireReader(ctx, "1/2")) },
			"AdoptJournal": func(ctx context.Context) error {
				_, _, err := s.AdoptJournal(ctx)
				return err
			},
		},
		SchedulerService: {
			"Tasks": func(ctx context.Context) error { return first(sch.Tasks(ctx, TaskFilter{"paused", "url", "n"})) },
			"Task": func(ctx context.Context) error {
				_, _, err := sch.Task(ctx, "1/2")
				return err
			},
			"Create":   func(ctx context.Context) error { return just(sch.Create(ctx, NewTask{})) },
			"Change":   func(ctx context.Context) error { return just(sch.Change(ctx, "1/2", `"3"`, ChangedTask{})) },
			"Delete":   func(ctx context.Context) error { return just(sch.Delete(ctx, "1/2", `"3"`)) },
			"Pause":    func(ctx context.Context) error { return just(sch.Pause(ctx, "1/2")) },
			"Resume":   func(ctx context.Context) error { return just(sch.Resume(ctx, "1/2")) },
			"Start":    func(ctx context.Context) error { return just(sch.Start(ctx)) },
			"Stop":     func(ctx context.Context) error { return just(sch.Stop(ctx)) },
			"RunNow":   func(ctx context.Context) error { return just(sch.RunNow(ctx, "1/2")) },
			"Cancel":   func(ctx context.Context) error { return just(sch.Cancel(ctx, "1/2")) },
			"Runs":     func(ctx context.Context) error { return first(sch.Runs(ctx, RunFilter{"1", "failed", at, at})) },
			"Upcoming": func(ctx context.Context) error { return just(sch.Upcoming(ctx, 2)) },
			"Explain":  func(ctx context.Context) error { return just(sch.Explain(ctx, "@daily", "UTC")) },
			"Status":   func(ctx context.Context) error { return just(sch.Status(ctx)) },
		},
		CollectorService: {
			"Status":      func(ctx context.Context) error { return just(col.Status(ctx)) },
			"Exchanges":   func(ctx context.Context) error { return just(col.Exchanges(ctx)) },
			"Instruments": func(ctx context.Context) error { return just(col.Instruments(ctx, "x/y", "spot", true)) },
			"Book":        func(ctx context.Context) error { return just(col.Book(ctx, "x/y", "a b", "spot", 5)) },
			"RefreshBook": func(ctx context.Context) error { return col.RefreshBook(ctx, "x/y", "a b", "spot") },
			"Trades":      func(ctx context.Context) error { return just(col.Trades(ctx, "x/y", "a b", "spot", 5)) },
			"Change":      func(ctx context.Context) error { return just(col.Change(ctx, "x/y", Subscription{})) },
			"Changes": func(ctx context.Context) error {
				_, _, err := col.Changes(ctx)
				return err
			},
			"AllQuality": func(ctx context.Context) error {
				_, _, err := col.AllQuality(ctx, span)
				return err
			},
			"Quality": func(ctx context.Context) error { return just(col.Quality(ctx, "x/y", "a b", "spot", span)) },
			"Backfill": func(ctx context.Context) error {
				return just(col.Backfill(ctx, "x/y", "a b", "spot", BackfillRequest{}))
			},
			"Backfills":      func(ctx context.Context) error { return just(col.Backfills(ctx)) },
			"BackfillStatus": func(ctx context.Context) error { return just(col.BackfillStatus(ctx, "1/2", time.Second)) },
			"CancelBackfill": func(ctx context.Context) error { return just(col.CancelBackfill(ctx, "1/2")) },
			"Import":         func(ctx context.Context) error { return just(col.Import(ctx, []byte("{}\n"))) },
			"Follow": func(ctx context.Context) error {
				return first(col.Follow(ctx, Live{Kinds: []string{"trade"}, Exchanges: []string{"x"}, Markets: []string{"spot"}, Symbols: []string{"a"}, Following: once(ctx)}))
			},
		},
		GatewayService: {
			"Login":        func(ctx context.Context) error { return just(gw.Login(ctx, "u", "p")) },
			"Refresh":      func(ctx context.Context) error { return just(gw.Refresh(ctx, "t")) },
			"Logout":       func(ctx context.Context) error { return gw.Logout(ctx, "t") },
			"SetPassword":  func(ctx context.Context) error { return gw.SetPassword(ctx, "p", "q") },
			"Me":           func(ctx context.Context) error { return just(gw.Me(ctx)) },
			"Users":        func(ctx context.Context) error { return just(gw.Users(ctx)) },
			"AddUser":      func(ctx context.Context) error { return just(gw.AddUser(ctx, NewUser{})) },
			"ChangeUser":   func(ctx context.Context) error { return just(gw.ChangeUser(ctx, "u/v", UserChange{})) },
			"RemoveUser":   func(ctx context.Context) error { return just(gw.RemoveUser(ctx, "u/v")) },
			"APIKeys":      func(ctx context.Context) error { return just(gw.APIKeys(ctx)) },
			"CreateAPIKey": func(ctx context.Context) error { return just(gw.CreateAPIKey(ctx, NewAPIKey{})) },
			"RevokeAPIKey": func(ctx context.Context) error { return just(gw.RevokeAPIKey(ctx, "1/2")) },
			"Services":     func(ctx context.Context) error { return just(gw.Services(ctx)) },
		},
		MonitoringService: {
			"Overview": func(ctx context.Context) error { return just(mon.Overview(ctx)) },
			"Services": func(ctx context.Context) error { return just(mon.Services(ctx)) },
			"Alerts": func(ctx context.Context) error {
				_, _, err := mon.Alerts(ctx, 5)
				return err
			},
			"Silences":      func(ctx context.Context) error { return just(mon.Silences(ctx, "active")) },
			"Silence":       func(ctx context.Context) error { return just(mon.Silence(ctx, "1/2")) },
			"CreateSilence": func(ctx context.Context) error { return just(mon.CreateSilence(ctx, NewSilence{})) },
			"ExpireSilence": func(ctx context.Context) error { return just(mon.ExpireSilence(ctx, "1/2")) },
			"PromQL": func(ctx context.Context) error {
				if _, err := mon.PromQL(ctx, "up", at); err != nil && !strings.Contains(err.Error(), "want a vector") {
					return err
				}
				return nil
			},
			"Settings": func(ctx context.Context) error {
				_, _, err := mon.Settings(ctx, SettingFilter{"node", true})
				return err
			},
			"Audit": func(ctx context.Context) error {
				return first(mon.Audit(ctx, AuditFilter{"p", "a", "t", "done", at, at}))
			},
			"Logs": func(ctx context.Context) error {
				return just(mon.Logs(ctx, LogFilter{"s", "n", "a", "x", "y", "info", "t", "r", "q", at, at, 5}))
			},
			"Traces": func(ctx context.Context) error { return just(mon.Traces(ctx, "s", true, 5)) },
			"TraceSpans": func(ctx context.Context) error {
				_, _, err := mon.TraceSpans(ctx, "1/2")
				return err
			},
			"Watch": func(ctx context.Context) error {
				e, err := mon.Watch(ctx, time.Minute, "overview")
				if err == nil {
					e.Close()
				}
				return err
			},
			"Actors":         func(ctx context.Context) error { return just(mon.Actors(ctx, "n")) },
			"ActorNodes":     func(ctx context.Context) error { return just(mon.ActorNodes(ctx, true)) },
			"Actor":          func(ctx context.Context) error { return just(mon.Actor(ctx, "root/a")) },
			"ActorAt":        func(ctx context.Context) error { return just(mon.ActorAt(ctx, "n", "root/a")) },
			"ActorEvents":    func(ctx context.Context) error { return just(mon.ActorEvents(ctx, "root/a", 5)) },
			"RestartActor":   func(ctx context.Context) error { return just(mon.RestartActor(ctx, "root/a", "n", "why")) },
			"StopActor":      func(ctx context.Context) error { return just(mon.StopActor(ctx, "root/a", "n", "why")) },
			"KillActor":      func(ctx context.Context) error { return just(mon.KillActor(ctx, "root/a", "n", "why")) },
			"PauseActor":     func(ctx context.Context) error { return just(mon.PauseActor(ctx, "root/a", "n", "why")) },
			"ResumeActor":    func(ctx context.Context) error { return just(mon.ResumeActor(ctx, "root/a", "n", "why")) },
			"Cluster":        func(ctx context.Context) error { return just(mon.Cluster(ctx, true)) },
			"Drain":          func(ctx context.Context) error { return just(mon.Drain(ctx, "n/1", "why")) },
			"Undrain":        func(ctx context.Context) error { return just(mon.Undrain(ctx, "n/1", "why")) },
			"StreamStanding": func(ctx context.Context) error { return just(mon.StreamStanding(ctx, "a/b/c")) },
			"MoveStream":     func(ctx context.Context) error { return just(mon.MoveStream(ctx, "a/b/c", "n", time.Hour, "why")) },
			"UnpinStream":    func(ctx context.Context) error { return just(mon.UnpinStream(ctx, "a/b/c", "why")) },
			"ResyncStream":   func(ctx context.Context) error { return just(mon.ResyncStream(ctx, "a/b/c", "why")) },
		},
		BrokerService: {
			"Publish": func(ctx context.Context) error { return just(br.Publish(ctx, Message{})) },
			"PublishBytes": func(ctx context.Context) error {
				return just(br.PublishBytes(ctx, "a.b", "text/plain", "k", []byte("x")))
			},
			"PublishAll":        func(ctx context.Context) error { return just(br.PublishAll(ctx, Message{})) },
			"Request":           func(ctx context.Context) error { return just(br.Request(ctx, "a.b", nil, time.Second)) },
			"Streams":           func(ctx context.Context) error { return just(br.Streams(ctx)) },
			"Stream":            func(ctx context.Context) error { return just(br.Stream(ctx, "S/T")) },
			"CreateStream":      func(ctx context.Context) error { return just(br.CreateStream(ctx, NewStream{})) },
			"ChangeStream":      func(ctx context.Context) error { return just(br.ChangeStream(ctx, NewStream{Name: "S/T"})) },
			"DeleteStream":      func(ctx context.Context) error { return br.DeleteStream(ctx, "S/T") },
			"PurgeStream":       func(ctx context.Context) error { return just(br.PurgeStream(ctx, "S/T", "a.b")) },
			"Message":           func(ctx context.Context) error { return just(br.Message(ctx, "S/T", 5)) },
			"Nodes":             func(ctx context.Context) error { return just(br.Nodes(ctx)) },
			"RemoveNode":        func(ctx context.Context) error { return br.RemoveNode(ctx, "n/1") },
			"DeadLetters":       func(ctx context.Context) error { return first(br.DeadLetters(ctx, LetterFilter{"S", "c"})) },
			"DeadLetter":        func(ctx context.Context) error { return just(br.DeadLetter(ctx, 5)) },
			"Replay":            func(ctx context.Context) error { return just(br.Replay(ctx, LetterFilter{"S", "c"}, 5)) },
			"DeleteDeadLetters": func(ctx context.Context) error { return just(br.DeleteDeadLetters(ctx, LetterFilter{"S", "c"})) },
			"Consumers":         func(ctx context.Context) error { return just(br.Consumers(ctx, "S/T")) },
			"CreateConsumer":    func(ctx context.Context) error { return just(br.CreateConsumer(ctx, "S/T", NewConsumer{})) },
			"Consumer":          func(ctx context.Context) error { return just(br.Consumer(ctx, "S/T", "c/d")) },
			"DeleteConsumer":    func(ctx context.Context) error { return br.DeleteConsumer(ctx, "S/T", "c/d") },
			"Fetch":             func(ctx context.Context) error { return just(br.Fetch(ctx, "S/T", "c/d", 5, time.Second)) },
			"Ack":               func(ctx context.Context) error { return just(br.Ack(ctx, "t")) },
			"Nak":               func(ctx context.Context) error { return just(br.Nak(ctx, time.Second, "t")) },
			"Term":              func(ctx context.Context) error { return just(br.Term(ctx, "why", "t")) },
			"InProgress":        func(ctx context.Context) error { return just(br.InProgress(ctx, "t")) },
			"Submit":            func(ctx context.Context) error { return just(br.Submit(ctx, Submission{})) },
			"Tasks":             func(ctx context.Context) error { return first(br.Tasks(ctx, QueueFilter{"q", "dead"})) },
			"Task":              func(ctx context.Context) error { return just(br.Task(ctx, "1/2")) },
			"Result":            func(ctx context.Context) error { return just(br.Result(ctx, "1/2")) },
			"CancelTask":        func(ctx context.Context) error { return just(br.CancelTask(ctx, "1/2")) },
			"RetryTask":         func(ctx context.Context) error { return just(br.RetryTask(ctx, "1/2")) },
			"Claim":             func(ctx context.Context) error { return just(br.Claim(ctx, "q/r", Claim{})) },
			"Report":            func(ctx context.Context) error { return just(br.Report(ctx, task, 5, "n")) },
			"Complete":          func(ctx context.Context) error { return just(br.Complete(ctx, task, 5)) },
			"Fail":              func(ctx context.Context) error { return just(br.Fail(ctx, task, "why", true)) },
			"Subscribe": func(ctx context.Context) error {
				return first(br.Subscribe(ctx, Subscribing{Subject: "a.>", Stream: "S", From: "first", After: "S-5", Following: once(ctx)}))
			},
		},
	}
}

// once ends a stream at its first lost connection.
func once(ctx context.Context) Following {
	return Following{Tries: 1, Lost: func(error) { ctx.Value(stopKey{}).(context.CancelFunc)() }}
}

type stopKey struct{}

// overOthers are methods that ask by means of others, and are tested by themselves.
var overOthers = []string{"Await", "AwaitApplied", "AwaitBackfill", "AwaitTask", "Consume", "Dial"}

// TestOperations: every method asks for what a service has, with parameters that it takes.
func TestOperations(t *testing.T) {
	spy := &asked{}
	c, err := New(Config{Gateways: []string{"http://gateway"}, HTTP: spy, Attempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	parts := map[string]any{
		StorageService: c.Storage, SchedulerService: c.Scheduler, CollectorService: c.Collector,
		GatewayService: c.Gateway, MonitoringService: c.Monitoring, BrokerService: c.Broker,
	}
	for service, methods := range everyCall(c) {
		r := readReference(t, service)
		part := reflect.TypeOf(parts[service])
		for i := range part.NumMethod() {
			name := part.Method(i).Name
			if _, ok := methods[name]; !ok && !slices.Contains(overOthers, name) {
				t.Errorf("%s of the %s is not tried", name, service)
			}
		}
		for name, call := range methods {
			spy.last = nil
			ctx, cancel := context.WithCancel(t.Context())
			err := call(context.WithValue(ctx, stopKey{}, cancel))
			cancel()
			if err != nil && ctx.Err() == nil && !strings.Contains(err.Error(), "EOF") && !strings.Contains(err.Error(), "unexpected end of JSON") {
				t.Errorf("%s of the %s: %v", name, service, err)
			}
			if spy.last == nil {
				t.Errorf("%s of the %s asks nobody", name, service)
				continue
			}
			if err := r.judge(service, spy.last, spy.body); err != nil {
				t.Errorf("%s of the %s: %v", name, service, err)
			}
		}
	}
}

// TestJudge: what no service has is found.
func TestJudge(t *testing.T) {
	r := readReference(t, StorageService)
	for at, body := range map[string]string{
		"GET /api/v1/data-storage-service/storage/nothing":           "",
		"POST /api/v1/data-storage-service/storage/stats":            "",
		"GET /api/v1/data-storage-service/storage/parts?color=red":   "",
		"GET /api/v1/storage/parts":                                  "",
		"POST /api/v1/data-storage-service/storage/cold/archive":     `{"color":"red"}`,
		"POST /api/v1/data-storage-service/storage/hot/trades":       `[{"color":"red"}]`,
		"GET /api/v1/data-storage-service/storage/query/trade/a/b/c": "",
	} {
		verb, path, _ := strings.Cut(at, " ")
		q, err := http.NewRequestWithContext(t.Context(), verb, "http://gateway"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.judge(StorageService, q, []byte(body)); err == nil {
			t.Errorf("%s %s is let through", at, body)
		}
	}
}

func (r *reference) judge(service string, q *http.Request, text []byte) error {
	path := q.URL.EscapedPath()
	if rest, ok := strings.CutPrefix(path, apiPath+service+"/"); ok {
		path = apiPath + rest
	} else if service != GatewayService {
		return fmt.Errorf("%s does not name the service", path)
	}
	at, o, ok := r.find(q.Method, path)
	if !ok {
		return fmt.Errorf("there is no %s %s", q.Method, path)
	}
	for name := range q.URL.Query() {
		if !slices.Contains(o.parameters, name) {
			return fmt.Errorf("%s has no parameter %s", at, name)
		}
	}
	for _, name := range []string{"If-Match", "Last-Event-Id", "Prefer", "Idempotency-Key"} {
		if q.Header.Get(name) != "" && !slices.ContainsFunc(o.parameters, func(p string) bool { return strings.EqualFold(p, name) }) {
			return fmt.Errorf("%s has no header %s", at, name)
		}
	}
	return r.members(o.takes, text)
}

// find is the operation of a path: of those that match it the one that names most of it.
func (r *reference) find(verb, path string) (at string, o operation, ok bool) {
	for name, one := range r.operations {
		its, _, _ := strings.Cut(name, " ")
		if its == verb && one.path.MatchString(path) && (!ok || strings.Count(name, "{") < strings.Count(at, "{")) {
			at, o, ok = name, one, true
		}
	}
	return at, o, ok
}

// members holds the members of a body that is sent against what an operation takes.
func (r *reference) members(takes string, text []byte) error {
	var sent map[string]json.RawMessage
	if takes == "" || len(text) == 0 {
		return nil
	}
	if text[0] == '[' {
		text = text[1 : len(text)-1] // of one row
	}
	if err := json.Unmarshal(text, &sent); err != nil {
		return fmt.Errorf("the body: %w", err)
	}
	for name := range sent { // the operation names its own body
		if _, ok := r.bodies[takes][name]; !ok {
			return fmt.Errorf("%s has no member %s", takes, name)
		}
	}
	return nil
}
