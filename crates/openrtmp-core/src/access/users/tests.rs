use super::*;

const SECOND: u64 = 1_000_000;

fn access(users: &[(&str, &str)]) -> AccessConfig {
    let mut access = crate::Config::desktop().access;
    let users = users.iter();
    access.users = users.map(|(u, p)| UserConfig::new(*u, *p)).collect();
    access
}

fn users() -> Users {
    Users::new([7; 32], &access(&[("ann", "s3cret"), ("bob", "other")]), 64)
}

fn request(user: &str, answer: Option<AuthAnswer>) -> AuthRequest {
    let module = "adobe".to_owned();
    let user = user.to_owned();
    AuthRequest {
        module,
        user,
        answer,
    }
}

/// The salt and the opaque text of a demand.
fn demanded(login: &Login) -> (String, String) {
    let Login::Asked(words, Why::Password | Why::Again(_)) = login else {
        panic!("{login:?}");
    };
    let field = |name: &str| {
        let (_, rest) = words.split_once(name).expect("a field");
        rest.split('&').next().unwrap_or_default().to_owned()
    };
    (field("&salt="), field("&opaque="))
}

fn answer(user: &str, password: &str, (salt, opaque): &(String, String)) -> AuthAnswer {
    let own = "0123abcd";
    AuthAnswer {
        challenge: own.to_owned(),
        response: auth_response(user, salt, &password.into(), opaque, own),
        opaque: opaque.clone(),
    }
}

fn try_at(users: &Users, at: Time, user: &str, answer: AuthAnswer) -> Login {
    users.login(at, Some(&request(user, Some(answer))))
}

fn ask(users: &Users, user: &str) -> (String, String) {
    demanded(&users.login(Time::ZERO, Some(&request(user, None))))
}

fn is_again(login: &Login) -> bool {
    matches!(login, Login::Asked(_, Why::Again(_)))
}

#[test]
fn a_user_with_the_password_is_known_and_nobody_else() {
    let users = users();
    let login = |user: &str, password: &str| {
        let given = ask(&users, user);
        try_at(&users, Time::ZERO, user, answer(user, password, &given))
    };
    assert_eq!(login("ann", "s3cret"), Login::User("ann".into()));
    assert_eq!(login("bob", "other"), Login::User("bob".into()));
    for (user, password) in [
        ("ann", "other"),
        ("ann", ""),
        ("Ann", "s3cret"),
        ("carl", "s3cret"),
        ("carl", "no password"),
    ] {
        let wrong = Login::Wrong(user.to_owned());
        assert_eq!(login(user, password), wrong, "{user} {password}");
    }
}

/// What is said to somebody who is no user looks like what is said to one.
#[test]
fn who_is_no_user_is_asked_as_users_are() {
    let users = users();
    let shape = |user: &str| {
        let Login::Asked(words, why) = users.login(Time::ZERO, Some(&request(user, None))) else {
            panic!("not asked");
        };
        let is_digit = |c: char| c.is_ascii_hexdigit();
        (words.replace(user, "").replace(is_digit, "0"), why)
    };
    assert_eq!(shape("ann"), shape("xyz"));
    let (first, second) = (ask(&users, "ann"), ask(&users, "ann"));
    assert!(first.0 != second.0 && first.1 != second.1);
}

#[test]
fn an_answer_counts_once_right_or_wrong() {
    let users = users();
    let given = ask(&users, "ann");
    let right = answer("ann", "s3cret", &given);
    let first = try_at(&users, Time::ZERO, "ann", right.clone());
    assert_eq!(first, Login::User("ann".into()));
    let second = try_at(&users, Time::ZERO, "ann", right);
    assert!(is_again(&second), "{second:?}");
    let given = ask(&users, "ann");
    let wrong = try_at(&users, Time::ZERO, "ann", answer("ann", "guess", &given));
    assert_eq!(wrong, Login::Wrong("ann".to_owned()));
    let late = try_at(&users, Time::ZERO, "ann", answer("ann", "s3cret", &given));
    assert!(is_again(&late), "{late:?}");
    // The new challenge is as good as any.
    let given = demanded(&late);
    let right = answer("ann", "s3cret", &given);
    let login = try_at(&users, Time::ZERO, "ann", right);
    assert_eq!(login, Login::User("ann".into()));
}

#[test]
fn challenges_may_be_answered_in_any_order_for_a_while() {
    let users = users();
    let given: Vec<_> = (0..64).map(|_| ask(&users, "ann")).collect();
    for given in given.iter().rev() {
        let right = answer("ann", "s3cret", given);
        let login = try_at(&users, Time::from_micros(30 * SECOND), "ann", right);
        assert_eq!(login, Login::User("ann".into()));
    }
    let given = ask(&users, "ann");
    let late = Time::from_micros(30 * SECOND + 1000);
    let login = try_at(&users, late, "ann", answer("ann", "s3cret", &given));
    let limit = Some(Limit::ChallengeTimeout);
    assert!(matches!(login, Login::Asked(_, Why::Again(l)) if l == limit));
}

#[test]
fn whoever_asks_without_end_is_remembered_in_a_ring() {
    let users = users();
    let old = ask(&users, "ann");
    for _ in 0..10_000 {
        ask(&users, "nobody");
    }
    let login = try_at(&users, Time::ZERO, "ann", answer("ann", "s3cret", &old));
    let limit = Some(Limit::Challenges);
    assert!(matches!(login, Login::Asked(_, Why::Again(l)) if l == limit));
    assert_eq!(lock(&users.challenges).answered.len(), 1);
    // Nobody gets in twice by way of the ring's turn.
    let given = ask(&users, "ann");
    let right = answer("ann", "s3cret", &given);
    let login = try_at(&users, Time::ZERO, "ann", right.clone());
    assert_eq!(login, Login::User("ann".into()));
    users.set_challenges(1000);
    assert!(is_again(&try_at(&users, Time::ZERO, "ann", right)));
}

#[test]
fn what_is_made_up_swapped_or_left_out_is_no_answer() {
    let users = users();
    let given = ask(&users, "ann");
    let right = answer("ann", "s3cret", &given);
    let of_bob = try_at(&users, Time::ZERO, "bob", answer("bob", "other", &given));
    assert!(is_again(&of_bob), "the challenge of another user");
    let long = "9".repeat(100_000);
    for opaque in ["", "0", "é", &long, &given.1.to_uppercase(), &given.1[1..]] {
        let answer = AuthAnswer {
            opaque: opaque.to_owned(),
            ..right.clone()
        };
        let login = try_at(&users, Time::ZERO, "ann", answer);
        assert!(is_again(&login), "{login:?}");
    }
    let mut later = given.1.clone();
    later.replace_range(12..24, "0000ffffffff");
    let answer_later = AuthAnswer {
        opaque: later,
        ..right.clone()
    };
    assert!(is_again(&try_at(&users, Time::ZERO, "ann", answer_later)));
    // Another server, or this one before it was started again.
    let other = Users::new([8; 32], &access(&[("ann", "s3cret")]), 64);
    assert!(is_again(&try_at(&other, Time::ZERO, "ann", right)));
    let wrong = Login::Wrong("ann".to_owned());
    for (challenge, response) in [
        (&*long, None),
        ("", None),
        ("1", Some("")),
        ("1", Some(&*long)),
    ] {
        let given = ask(&users, "ann");
        let computed = auth_response("ann", &given.0, &"s3cret".into(), &given.1, challenge);
        let answer = AuthAnswer {
            challenge: challenge.to_owned(),
            response: response.map_or(computed, str::to_owned),
            opaque: given.1,
        };
        assert_eq!(try_at(&users, Time::ZERO, "ann", answer), wrong);
    }
    let names = ["", "a b", &"u".repeat(65), "a&b"];
    for user in names {
        let login = users.login(Time::ZERO, Some(&request(user, None)));
        assert!(matches!(login, Login::Wrong(_)), "{login:?}");
    }
}

#[test]
fn another_module_is_told_what_is_spoken() {
    let users = users();
    let mut other = request("ann", None);
    other.module = "llnw".to_owned();
    for request in [None, Some(&other)] {
        let Login::Asked(words, Why::Name) = users.login(Time::ZERO, request) else {
            panic!("not asked");
        };
        assert!(
            words.contains("code=403 need auth; authmod=adobe"),
            "{words}"
        );
    }
}

#[test]
fn settings_tell_who_is_gone() {
    let users = users();
    let gone = users.reconfigure(&access(&[("ann", "new"), ("carl", "x")]));
    assert_eq!(gone, ["ann".into(), "bob".into()]);
    assert!(users.knows("carl") && !users.knows("bob"));
    assert!(users.demands(true) && users.demands(false));
    let mut publishers = access(&[("ann", "new")]);
    publishers.authenticate = Authenticate::Publishers;
    users.reconfigure(&publishers);
    assert!(users.demands(true) && !users.demands(false));
    assert_eq!(users.reconfigure(&access(&[])), ["ann".into()]);
    assert!(!users.demands(true));
}
